//! Standard output, kept for results.
//!
//! Compilers print: to look into them, or because a library does. A print among the lines of a report, or in the middle of a JSON
//! document, would spoil the result; and a compiler must never wait for a lock that a command holds while it writes. So
//! on Unix the command keeps the real standard output to itself, and what anything else in the process prints there goes to
//! standard error, that of child processes included. On other systems both go to standard output, as they are printed.

use std::io::Write;

/// Standard output, kept while this lives.
#[derive(Debug)]
pub(crate) struct Stdout {
    #[cfg(unix)]
    own: Option<std::sync::Arc<std::fs::File>>,
}

impl Stdout {
    /// Keeps standard output for [`Stdout::writer`]; where that can not be done it is shared.
    pub(crate) fn keep() -> Stdout {
        // What was printed before belongs there.
        let _ = std::io::stdout().flush();
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            // Not inherited by children: one that outlives the command would keep its reader waiting.
            let own = std::io::stdout().as_fd().try_clone_to_owned();
            let own = own.and_then(|own| Ok(nix::unistd::dup2_stdout(std::io::stderr()).map(|()| own)?));
            if let Err(error) = &own {
                tracing::warn!(%error, "what compilers print goes to standard output");
            }
            Stdout { own: own.ok().map(|own| std::sync::Arc::new(own.into())) }
        }
        #[cfg(not(unix))]
        Stdout {}
    }

    /// Writes results. Holds no lock between two writes.
    pub(crate) fn writer(&self) -> Box<dyn Write> {
        #[cfg(unix)]
        if let Some(own) = &self.own {
            return Box::new(std::sync::Arc::clone(own));
        }
        Box::new(std::io::stdout())
    }
}

impl Drop for Stdout {
    /// What the program prints after its command goes to standard output again.
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(own) = &self.own {
            // The end of what was printed meanwhile, without a line break.
            let _ = std::io::stdout().flush();
            let _ = nix::unistd::dup2_stdout(own);
        }
    }
}
