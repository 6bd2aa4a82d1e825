//! Waiting when a remote store asks to slow down (429 or 503): as long as the store asks for, or a time that doubles, and then
//! the request is repeated.
//!
//! Stores throttle in streaks that last minutes, so time is limited, not the number of tries. A streak begins with the first
//! such answer and ends with one of another kind. All requests to a bucket share it. Once it has lasted longer than the
//! patience, no request waits any more. A single request waits no longer than the patience either: others may be answered all
//! the time. All other failures are left to the client, which retries a few times: an endpoint that is not there must be
//! reported soon.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use object_store::ClientOptions;

use crate::backend::cause::METADATA;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// The shortest wait, and the longest that is not asked for.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often a wait is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// Makes clients of one bucket that wait when it asks to.
#[derive(Clone)]
pub(crate) struct Patient {
    patience: Duration,
    /// Another number for each process, so that those that were throttled together do not come again together.
    spread: u64,
    streak: SharedStreak,
    url: Arc<str>,
}

/// What the requests to a bucket share.
pub(crate) type SharedStreak = Arc<Mutex<Streak>>;

#[derive(Default)]
pub(crate) struct Streak {
    began: Option<Instant>,
    /// The last answer of the kind.
    last: Option<Instant>,
    logged: Option<Instant>,
}

/// The answer to a request once nobody waits any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum TooLong {
    #[error("the store asks to slow down ({0}) for {seconds} s, which is longer than it is waited for", seconds = .1.as_secs())]
    Asked(u16, Duration),
    #[error("the store asks to slow down ({0}), and has for as long as it is waited for")]
    Lasted(u16),
}

impl Patient {
    pub(crate) fn new(url: &str, patience: Duration, spread: u64, streak: SharedStreak) -> Patient {
        Patient { patience, spread, streak, url: url.into() }
    }

    /// How long to wait before asking again. `began` is when the request was answered so first, `status` what the store
    /// answered.
    fn wait(
        &self,
        began: Instant,
        status: u16,
        asked: Option<Duration>,
        attempt: u32,
        what: &str,
    ) -> Result<Duration, TooLong> {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        // Long after the last such answer it is another one: whoever asked meanwhile had given up.
        if streak.last.is_some_and(|last| last.elapsed() > self.patience) {
            *streak = Streak::default();
        }
        streak.last = Some(Instant::now());
        let lasted = streak.began.get_or_insert_with(Instant::now).elapsed().max(began.elapsed());
        let (least, pause) = pause(attempt, asked, spread(self.spread, what, attempt));
        let left = self.patience.saturating_sub(lasted);
        if least > left {
            let asked = asked.filter(|asked| *asked > self.patience);
            return Err(asked.map_or(TooLong::Lasted(status), |asked| TooLong::Asked(status, asked)));
        }
        let pause = pause.min(left);
        // Once a wait is worth a word. Many requests wait at once: one of them speaks for all.
        let is_long = lasted + pause >= Duration::from_secs(1);
        if is_long && streak.logged.is_none_or(|logged| logged.elapsed() >= LOGGED_EVERY) {
            streak.logged = Some(Instant::now());
            let (url, seconds) = (&self.url, pause.as_secs_f64());
            tracing::warn!("{url}: the store asks to slow down ({status}): asked again in {seconds:.1} s");
        }
        Ok(pause)
    }

    #[cfg(test)]
    pub(crate) fn streak(&self) -> SharedStreak {
        Arc::clone(&self.streak)
    }

    fn went_on(&self) {
        *self.streak.lock().unwrap_or_else(PoisonError::into_inner) = Streak::default();
    }
}

/// A wait, the least and what it is: what the store asks for and up to a half more, or a while that doubles with each attempt, of
/// which up to a half is left out, whichever is longer: a store may ask for no wait, and is not to be asked without a pause.
/// `spread` is a share of 2^32.
fn pause(attempt: u32, asked: Option<Duration>, spread: u32) -> (Duration, Duration) {
    let share = f64::from(spread) / f64::from(u32::MAX) / 2.0;
    let own = WAITS.0.saturating_mul(1 << attempt.min(16)).min(WAITS.1).mul_f64(1.0 - share);
    match asked {
        Some(asked) => (asked.max(own), asked.mul_f64(1.0 + share).max(own)),
        None => (own, own),
    }
}

/// Whether nobody waits for the answer to a request: to the hint and to what is kept of a run's work, which matter to nothing but
/// time, and to credentials, which are not of this store.
fn is_not_waited_for(request: &HttpRequest) -> bool {
    let path = request.uri().path();
    // By the last folder: a catalog may itself lie in one of this name.
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let is_put = request.method() == "PUT";
    let is_write = is_put && (path.ends_with("/versions/latest") || folder.ends_with("/progress"));
    is_write || METADATA.iter().any(|place| path.contains(place))
}

fn spread(seed: u64, what: &str, attempt: u32) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&attempt.to_le_bytes()).update(what.as_bytes());
    let hash = hasher.finalize();
    u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]])
}

/// What `Retry-After` says in seconds, up to an hour; dates, which stores do not send, are passed over.
fn retry_after(text: &str) -> Option<Duration> {
    text.trim().parse::<u64>().ok().map(|seconds| Duration::from_secs(seconds.min(3600)))
}

impl fmt::Debug for Patient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient").field("url", &self.url).field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl HttpConnector for Patient {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Throttled { client, patient: self.clone() }))
    }
}

#[derive(Debug)]
struct Throttled {
    client: HttpClient,
    patient: Patient,
}

#[async_trait]
impl HttpService for Throttled {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut began, mut attempt) = (None, 0);
        loop {
            let answer = self.client.execute(request.clone()).await?;
            let status = answer.status().as_u16();
            if is_not_waited_for(&request) {
                return Ok(answer);
            }
            if !matches!(status, 429 | 503) {
                self.patient.went_on();
                return Ok(answer);
            }
            let asked = answer.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
            let what = request.uri().path();
            let began = *began.get_or_insert_with(Instant::now);
            let pause = self.patient.wait(began, status, asked, attempt, what);
            // What it says besides is of no use, and the connection is free again.
            drop(answer);
            // The client would ask again at once after an answer, and does not after this.
            let pause = pause.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds_and_are_spread() {
        let seconds = |attempt, spread| pause(attempt, None, spread).1.as_secs_f64();
        assert_eq!([0, 1, 6, 7, 40].map(|attempt| seconds(attempt, 0)), [0.1, 0.2, 6.4, 10.0, 10.0]);
        assert_eq!([0, 7].map(|attempt| seconds(attempt, u32::MAX)), [0.05, 5.0]);
        let asked = |attempt, spread| pause(attempt, Some(Duration::from_secs(4)), spread).1.as_secs_f64();
        assert_eq!([asked(0, 0), asked(0, u32::MAX)], [4.0, 6.0], "not before it was asked to");
        assert_eq!([asked(7, 0), asked(7, u32::MAX)], [10.0, 6.0], "the longer of the two");
        assert_eq!(pause(0, Some(Duration::ZERO), 0).1, WAITS.0, "never without a pause");
        let all: std::collections::BTreeSet<u32> =
            (0..4).flat_map(|seed| ["a", "b"].map(|what| spread(seed, what, 0))).collect();
        assert_eq!(all.len(), 8, "processes and requests are spread");
        assert_ne!(spread(1, "a", 0), spread(1, "a", 1));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("99999999999"), Some(Duration::from_secs(3600)));
        assert!(["", "-1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT"].into_iter().all(|text| retry_after(text).is_none()));
    }

    fn patient(patience: Duration) -> Patient {
        Patient::new("s3://x", patience, 0, SharedStreak::default())
    }

    /// A streak is shared, is over with another answer, and what is asked for beyond the patience is not waited for.
    #[test]
    fn a_streak_ends_by_time_or_by_an_answer() {
        let now = Instant::now();
        let one = patient(Duration::from_secs(100));
        let other = Patient::new("s3://x", Duration::from_secs(100), 0, Arc::clone(&one.streak));
        let asked = |patient: &Patient, seconds| patient.wait(now, 503, Some(Duration::from_secs(seconds)), 0, "a");
        assert!(asked(&one, 50).is_ok());
        let hour = Duration::from_secs(3600);
        assert_eq!(asked(&one, 3600), Err(TooLong::Asked(503, hour)));
        assert_eq!(asked(&one, 101), Err(TooLong::Asked(503, Duration::from_secs(101))));
        // What is added to spread waits is no reason to give up.
        assert!(asked(&one, 99).unwrap() <= Duration::from_secs(100));
        one.streak.lock().unwrap().began = now.checked_sub(Duration::from_secs(90));
        assert!(asked(&other, 10).is_err() && asked(&other, 1).is_ok());
        one.went_on();
        assert!(asked(&other, 50).is_ok());
        // Whoever comes long after a streak that nobody ended begins one of its own.
        *one.streak.lock().unwrap() =
            Streak { began: now.checked_sub(2 * hour), last: now.checked_sub(hour), ..Streak::default() };
        assert!(asked(&other, 50).is_ok());
        assert!(patient(Duration::ZERO).wait(now, 503, None, 0, "a").is_err());
    }

    /// Others may be answered all the time, as where one prefix of a bucket is throttled, or one object.
    #[test]
    fn a_request_waits_no_longer_than_a_streak_may_last() {
        let patient = patient(Duration::from_secs(100));
        let began = Instant::now().checked_sub(Duration::from_secs(99)).unwrap();
        for _ in 0..3 {
            patient.went_on();
            assert!(patient.wait(Instant::now(), 503, None, 9, "a").is_ok(), "another one begins to wait");
            assert_eq!(patient.wait(began, 503, None, 9, "b"), Err(TooLong::Lasted(503)));
        }
    }

    /// Answers with these, one after the other.
    #[derive(Debug)]
    struct Scripted(Mutex<Vec<u16>>);

    #[async_trait]
    impl HttpService for Scripted {
        async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            let status = self.0.lock().unwrap().remove(0);
            let mut answer = HttpResponse::new(Vec::new().into());
            *answer.status_mut() = status.try_into().unwrap();
            Ok(answer)
        }
    }

    fn answers(patience: Duration, requests: &[(&str, &str)], script: &[u16]) -> Vec<Option<u16>> {
        let client = HttpClient::new(Scripted(Mutex::new(script.to_vec())));
        let client = Throttled { client, patient: patient(patience) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = |(method, path): &(&str, &str)| {
            let mut request = HttpRequest::new(Vec::new().into());
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = path.parse().unwrap();
            runtime.block_on(client.call(request)).ok().map(|answer| answer.status().as_u16())
        };
        requests.iter().map(answer).collect()
    }

    /// Each streak is over with an answer: many short ones are longer together than any may be.
    #[test]
    fn streaks_do_not_add_up() {
        let get = ("GET", "/b/packs/1");
        let script = [503, 200].repeat(6);
        assert_eq!(answers(Duration::from_millis(150), &[get; 6], &script), [Some(200); 6]);
    }

    #[test]
    fn what_nobody_depends_on_is_not_waited_for() {
        let not = [("PUT", "/b/c/versions/latest"), ("PUT", "/b/c/progress/1-2-3"), ("PUT", "/latest/api/token")];
        assert_eq!(answers(Duration::from_secs(600), &not, &[503; 3]), [Some(503); 3]);
        let waited = [("GET", "/b/c/versions/latest"), ("PUT", "/b/c/versions/1"), ("GET", "/b/c/progress/1-2-3")];
        assert_eq!(answers(Duration::from_secs(600), &waited, &[503, 200, 503, 200, 503, 200]), [Some(200); 3]);
        // A catalog may lie in a folder, or a bucket, of that name.
        let ours = [("PUT", "/b/progress/c/versions/1"), ("PUT", "/progress/c/packs/1-2-3")];
        assert_eq!(answers(Duration::from_secs(600), &ours, &[503, 200, 503, 200]), [Some(200); 2]);
    }
}
