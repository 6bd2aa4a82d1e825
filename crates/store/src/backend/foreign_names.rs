//! Listings of remote stores that hold an object with a foreign name: a name that the client can not represent as a path, such as one
//! with an escape character.
//!
//! The client fails for the whole page with such an object. Then the listing is repeated by prefixes of names, with longer prefixes
//! where it fails again, until only the foreign object is left out.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, Result};

/// The characters of object names in the folders that are listed. (`versions/latest` is not needed.)
const LETTERS: &str = "0123456789abcdef-";

/// The longest name of a pack: three numbers of up to 16, 16 and 8 digits, and the separators.
const LONGEST: usize = 42;

struct Listing {
    /// The client's own listing, until it fails.
    whole: Option<BoxStream<'static, Result<ObjectMeta>>>,
    pages: Arc<dyn PaginatedListStore>,
    /// The folder, with `/` at its end.
    folder: String,
    /// Prefixes of names that are still to be listed.
    left: Vec<String>,
    found: VecDeque<ObjectMeta>,
}

/// The objects of a folder as the client lists them. At the first foreign name, lists all objects whose names look like ours again:
/// those that came before come a second time.
///
/// Cost: for each foreign name about 18 requests for each leading character that could begin one of our names.
pub(crate) fn skip_foreign_names(
    whole: BoxStream<'static, Result<ObjectMeta>>,
    pages: Arc<dyn PaginatedListStore>,
    folder: &Path,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let folder = format!("{folder}/");
    let listing = Listing { whole: Some(whole), pages, folder, left: Vec::new(), found: VecDeque::new() };
    stream::try_unfold(listing, |mut listing| async move { Ok(listing.next().await?.map(|meta| (meta, listing))) })
        .boxed()
}

impl Listing {
    async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        loop {
            if let Some(meta) = self.found.pop_front() {
                return Ok(Some(meta));
            }
            if let Some(whole) = &mut self.whole {
                match whole.try_next().await {
                    Err(Error::InvalidPath { .. }) => {
                        self.whole = None;
                        self.left.push(self.folder.clone());
                        continue;
                    }
                    answer => return answer,
                }
            }
            let Some(begin) = self.left.pop() else { return Ok(None) };
            match self.all(&begin).await {
                Ok(found) => self.found.extend(found),
                Err(Error::InvalidPath { .. }) => self.divide(&begin).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// All objects whose names have this prefix.
    async fn all(&mut self, begin: &str) -> Result<Vec<ObjectMeta>> {
        let (mut found, mut page_token) = (Vec::new(), None);
        loop {
            let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
            let page = self.pages.list_paginated(Some(begin), options).await?;
            found.extend(page.result.objects);
            match page.page_token {
                Some(next) => page_token = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Takes the object with exactly this name, which is the first with this prefix. Leaves the longer names for later.
    async fn divide(&mut self, begin: &str) -> Result<()> {
        if begin.len() - self.folder.len() > LONGEST {
            return Ok(());
        }
        let first = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        match self.pages.list_paginated(Some(begin), first).await {
            Ok(page) => {
                self.found.extend(page.result.objects.into_iter().filter(|meta| meta.location.as_ref() == begin));
            }
            Err(Error::InvalidPath { .. }) => {}
            Err(error) => return Err(error),
        }
        self.left.extend(LETTERS.chars().map(|letter| format!("{begin}{letter}")));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures::executor::block_on;
    use object_store::ListResult;
    use object_store::list::PaginatedListResult;

    use super::*;

    /// Names in pages of three.
    struct Pages(BTreeSet<String>, AtomicUsize);

    #[async_trait]
    impl PaginatedListStore for Pages {
        async fn list_paginated(
            &self,
            prefix: Option<&str>,
            options: PaginatedListOptions,
        ) -> Result<PaginatedListResult> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let after = options.page_token.unwrap_or_default();
            let fits = |name: &&String| name.starts_with(prefix.unwrap()) && **name > after;
            let names: Vec<&String> = self.0.iter().filter(fits).take(options.max_keys.unwrap_or(3)).collect();
            let meta = |name: &&String| {
                let location = Path::parse(name.as_str())?;
                Ok(ObjectMeta { location, last_modified: Default::default(), size: 1, e_tag: None, version: None })
            };
            let objects = names.iter().map(meta).collect::<Result<_>>()?;
            let page_token = (names.len() == 3).then(|| names[2].clone());
            let result = ListResult { common_prefixes: Vec::new(), objects, extensions: Default::default() };
            Ok(PaginatedListResult { result, page_token })
        }
    }

    fn listed(names: &BTreeSet<String>) -> (BTreeSet<String>, usize) {
        let pages = Arc::new(Pages(names.clone(), AtomicUsize::new(0)));
        let mut client = Listing {
            whole: None,
            pages: Arc::clone(&pages) as _,
            folder: "a/packs/".to_owned(),
            left: Vec::new(),
            found: VecDeque::new(),
        };
        // As the client does: up to the page at which it fails.
        let whole = block_on(client.all("a/packs/"));
        let whole = match whole {
            Ok(all) => stream::iter(all.into_iter().map(Ok).collect::<Vec<_>>()).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        };
        let all = skip_foreign_names(whole, Arc::clone(&pages) as _, &Path::from("a/packs"));
        let found: Vec<ObjectMeta> = block_on(all.try_collect()).unwrap();
        (found.iter().map(|meta| meta.location.to_string()).collect(), pages.1.load(Ordering::Relaxed))
    }

    #[test]
    fn what_has_a_foreign_name_is_left_out_and_nothing_else() {
        let ours: BTreeSet<String> = (0..40u64)
            .map(|seq| format!("a/packs/{:016x}-{:016x}-{seq:04x}", seq % 3, 0xfeed_u64.wrapping_mul(seq)))
            .chain(["a/packs/00000000000000000007".to_owned(), "a/packs/0000000000000001".to_owned()])
            .collect();
        assert_eq!(listed(&ours), (ours.clone(), 15), "without foreign names it is listed once");
        let first = ours.first().unwrap().clone();
        for foreign in ["a/packs/\u{1b}[31m", "a/packs/x//y", "a/packs/.", &format!("{first}\u{1}"), "a/packs/0000\n"] {
            let mut names = ours.clone();
            names.insert(foreign.to_owned());
            let (found, requests) = listed(&names);
            assert_eq!(found, ours, "{foreign:?}");
            assert!(requests < 2000, "{foreign:?}: {requests}");
        }
        let names: BTreeSet<String> =
            ours.iter().cloned().chain(["0".repeat(900) + "\u{1}"].map(|n| format!("a/packs/{n}"))).collect();
        assert_eq!(listed(&names).0, ours, "a name that begins as none of ours can");
    }
}
