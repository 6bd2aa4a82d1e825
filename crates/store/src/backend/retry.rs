//! Retries when a remote store asks to slow down (429 or 503). A request waits as long as the store asks for, or for a time that
//! doubles, and then is repeated.
//!
//! Stores throttle in streaks that last minutes, so time is limited, not the number of retries. A streak begins with the first such
//! answer and ends with another answer. All requests to a bucket share it. Once it has lasted longer than the patience, no request
//! waits any more. Nor does a single request wait longer than the patience: other requests may succeed all the time, so that no
//! streak gets long. All other failures are left to the client, which retries a few times: an endpoint that does not exist must be
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

/// The shortest wait, and the longest unless the store asks for more.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often a wait is logged.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// Makes clients of one bucket that wait and retry when it asks to slow down.
#[derive(Clone)]
pub(crate) struct RetryConnector {
    patience: Duration,
    /// Another number for each process, so that processes that were throttled together do not retry together.
    jitter_seed: u64,
    streak: SharedStreak,
    url: Arc<str>,
}

/// A streak of throttling, which all requests to a bucket share.
pub(crate) type SharedStreak = Arc<Mutex<Streak>>;

/// Answers in a row that ask to slow down.
#[derive(Default)]
pub(crate) struct Streak {
    began: Option<Instant>,
    /// The last such answer.
    last: Option<Instant>,
    logged: Option<Instant>,
}

/// Why a request is not retried any more. Begins with the status.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum GaveUp {
    #[error("the store asks to slow down ({0}) for {seconds} s, longer than the limit for retries", seconds = .1.as_secs())]
    RetryAfter(u16, Duration),
    #[error("the store asks to slow down ({0}), and has done so for longer than the limit for retries")]
    Throttled(u16),
}

impl RetryConnector {
    pub(crate) fn new(url: &str, patience: Duration, jitter_seed: u64, streak: SharedStreak) -> RetryConnector {
        RetryConnector { patience, jitter_seed, streak, url: url.into() }
    }

    /// How long to wait before the next try. `began`: when this request was first throttled; `retry_after`: the wait that the store
    /// asks for; `path`: of the request, for the jitter.
    fn wait(
        &self,
        began: Instant,
        status: u16,
        retry_after: Option<Duration>,
        attempt: u32,
        path: &str,
    ) -> Result<Duration, GaveUp> {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        // Long after the last such answer a new streak begins: the requests of the old one gave up without another answer.
        if streak.last.is_some_and(|last| last.elapsed() > self.patience) {
            *streak = Streak::default();
        }
        streak.last = Some(Instant::now());
        let lasted = streak.began.get_or_insert_with(Instant::now).elapsed().max(began.elapsed());
        let (least, pause) = pause(attempt, retry_after, jitter(self.jitter_seed, path, attempt));
        let left = self.patience.saturating_sub(lasted);
        if least > left {
            let beyond = retry_after.filter(|wanted| *wanted > self.patience);
            return Err(beyond.map_or(GaveUp::Throttled(status), |wanted| GaveUp::RetryAfter(status, wanted)));
        }
        let pause = pause.min(left);
        // Log only long waits. Many requests wait at once: one log line is enough for all.
        let is_long = lasted + pause >= Duration::from_secs(1);
        if is_long && streak.logged.is_none_or(|logged| logged.elapsed() >= LOGGED_EVERY) {
            streak.logged = Some(Instant::now());
            let (url, seconds) = (&self.url, pause.as_secs_f64());
            tracing::warn!("{url}: the store asks to slow down ({status}): next try in {seconds:.1} s");
        }
        Ok(pause)
    }

    #[cfg(test)]
    pub(crate) fn streak(&self) -> SharedStreak {
        Arc::clone(&self.streak)
    }

    /// Ends the streak: the store has answered.
    fn end_streak(&self) {
        *self.streak.lock().unwrap_or_else(PoisonError::into_inner) = Streak::default();
    }
}

/// How long to wait: at least, and with jitter. The longer of two times: what the store asks for and up to a half more; or a time that
/// doubles with each attempt, less up to a half. The second holds even where a store asks for no wait: it must not be asked without
/// a pause. `jitter` is a share of 2^32.
fn pause(attempt: u32, retry_after: Option<Duration>, jitter: u32) -> (Duration, Duration) {
    let share = f64::from(jitter) / f64::from(u32::MAX) / 2.0;
    let own = WAITS.0.saturating_mul(1 << attempt.min(16)).min(WAITS.1).mul_f64(1.0 - share);
    match retry_after {
        Some(wanted) => (wanted.max(own), wanted.mul_f64(1.0 + share).max(own)),
        None => (own, own),
    }
}

/// Whether a request is not worth a wait: writing the hint and checkpoints, which only save time; and requests for credentials, which
/// go to another server.
fn is_best_effort(request: &HttpRequest) -> bool {
    let path = request.uri().path();
    // Compare the last folder: the catalog itself may lie in a folder of this name.
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let is_put = request.method() == "PUT";
    let is_write = is_put && (path.ends_with("/versions/latest") || folder.ends_with("/progress"));
    is_write || METADATA.iter().any(|place| path.contains(place))
}

fn jitter(seed: u64, path: &str, attempt: u32) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&attempt.to_le_bytes()).update(path.as_bytes());
    let hash = hasher.finalize();
    u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]])
}

/// Parses `Retry-After`: a number of seconds, at most an hour. Dates, which stores do not send, are ignored.
fn parse_retry_after(text: &str) -> Option<Duration> {
    text.trim().parse::<u64>().ok().map(|seconds| Duration::from_secs(seconds.min(3600)))
}

impl fmt::Debug for RetryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryConnector")
            .field("url", &self.url)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl HttpConnector for RetryConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(RetryService { client, retries: self.clone() }))
    }
}

#[derive(Debug)]
struct RetryService {
    client: HttpClient,
    retries: RetryConnector,
}

#[async_trait]
impl HttpService for RetryService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut began, mut attempt) = (None, 0);
        loop {
            let answer = self.client.execute(request.clone()).await?;
            let status = answer.status().as_u16();
            if is_best_effort(&request) {
                return Ok(answer);
            }
            if !matches!(status, 429 | 503) {
                self.retries.end_streak();
                return Ok(answer);
            }
            let header = answer.headers().get("retry-after");
            let retry_after = header.and_then(|value| parse_retry_after(value.to_str().ok()?));
            let path = request.uri().path();
            let began = *began.get_or_insert_with(Instant::now);
            let pause = self.retries.wait(began, status, retry_after, attempt, path);
            // The rest of the answer is of no use. Dropping it frees the connection.
            drop(answer);
            // After an answer the client would retry at once; after this error it does not.
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
    fn waits_double_up_to_ten_seconds_and_have_jitter() {
        let seconds = |attempt, jitter| pause(attempt, None, jitter).1.as_secs_f64();
        assert_eq!([0, 1, 6, 7, 40].map(|attempt| seconds(attempt, 0)), [0.1, 0.2, 6.4, 10.0, 10.0]);
        assert_eq!([0, 7].map(|attempt| seconds(attempt, u32::MAX)), [0.05, 5.0]);
        let wanted = |attempt, jitter| pause(attempt, Some(Duration::from_secs(4)), jitter).1.as_secs_f64();
        assert_eq!([wanted(0, 0), wanted(0, u32::MAX)], [4.0, 6.0], "not before the store asks to");
        assert_eq!([wanted(7, 0), wanted(7, u32::MAX)], [10.0, 6.0], "the longer of the two");
        assert_eq!(pause(0, Some(Duration::ZERO), 0).1, WAITS.0, "never without a pause");
        let all: std::collections::BTreeSet<u32> =
            (0..4).flat_map(|seed| ["a", "b"].map(|path| jitter(seed, path, 0))).collect();
        assert_eq!(all.len(), 8, "processes and requests have different jitter");
        assert_ne!(jitter(1, "a", 0), jitter(1, "a", 1));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds() {
        assert_eq!(parse_retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(parse_retry_after("99999999999"), Some(Duration::from_secs(3600)));
        let ignored = ["", "-1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT"];
        assert!(ignored.into_iter().all(|text| parse_retry_after(text).is_none()));
    }

    fn retries(patience: Duration) -> RetryConnector {
        RetryConnector::new("s3://x", patience, 0, SharedStreak::default())
    }

    /// A streak is shared, and ends with another answer. A wait beyond the patience fails at once.
    #[test]
    fn a_streak_ends_by_time_or_by_an_answer() {
        let now = Instant::now();
        let one = retries(Duration::from_secs(100));
        let other = RetryConnector::new("s3://x", Duration::from_secs(100), 0, Arc::clone(&one.streak));
        let wait =
            |retries: &RetryConnector, seconds| retries.wait(now, 503, Some(Duration::from_secs(seconds)), 0, "a");
        assert!(wait(&one, 50).is_ok());
        let hour = Duration::from_secs(3600);
        assert_eq!(wait(&one, 3600), Err(GaveUp::RetryAfter(503, hour)));
        assert_eq!(wait(&one, 101), Err(GaveUp::RetryAfter(503, Duration::from_secs(101))));
        // The jitter alone is no reason to give up.
        assert!(wait(&one, 99).unwrap() <= Duration::from_secs(100));
        one.streak.lock().unwrap().began = now.checked_sub(Duration::from_secs(90));
        assert!(wait(&other, 10).is_err() && wait(&other, 1).is_ok());
        one.end_streak();
        assert!(wait(&other, 50).is_ok());
        // Long after a streak that nobody ended, a new one begins.
        *one.streak.lock().unwrap() =
            Streak { began: now.checked_sub(2 * hour), last: now.checked_sub(hour), ..Streak::default() };
        assert!(wait(&other, 50).is_ok());
        assert!(retries(Duration::ZERO).wait(now, 503, None, 0, "a").is_err());
    }

    /// Other requests may succeed all the time, for example where one prefix of a bucket is throttled, or one object.
    #[test]
    fn a_request_waits_no_longer_than_a_streak_may_last() {
        let retries = retries(Duration::from_secs(100));
        let began = Instant::now().checked_sub(Duration::from_secs(99)).unwrap();
        for _ in 0..3 {
            retries.end_streak();
            assert!(retries.wait(Instant::now(), 503, None, 9, "a").is_ok(), "another request begins to wait");
            assert_eq!(retries.wait(began, 503, None, 9, "b"), Err(GaveUp::Throttled(503)));
        }
    }

    /// Answers with these statuses, one after the other.
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
        let client = RetryService { client, retries: retries(patience) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = |(method, path): &(&str, &str)| {
            let mut request = HttpRequest::new(Vec::new().into());
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = path.parse().unwrap();
            runtime.block_on(client.call(request)).ok().map(|answer| answer.status().as_u16())
        };
        requests.iter().map(answer).collect()
    }

    /// Each streak ends with an answer: together many short ones may last longer than one may.
    #[test]
    fn streaks_do_not_add_up() {
        let get = ("GET", "/b/packs/1");
        let script = [503, 200].repeat(6);
        assert_eq!(answers(Duration::from_millis(150), &[get; 6], &script), [Some(200); 6]);
    }

    #[test]
    fn best_effort_requests_do_not_wait() {
        let best_effort =
            [("PUT", "/b/c/versions/latest"), ("PUT", "/b/c/progress/1-2-3"), ("PUT", "/latest/api/token")];
        assert_eq!(answers(Duration::from_secs(600), &best_effort, &[503; 3]), [Some(503); 3]);
        let waited = [("GET", "/b/c/versions/latest"), ("PUT", "/b/c/versions/1"), ("GET", "/b/c/progress/1-2-3")];
        assert_eq!(answers(Duration::from_secs(600), &waited, &[503, 200, 503, 200, 503, 200]), [Some(200); 3]);
        // A catalog may lie in a folder or a bucket of that name.
        let ours = [("PUT", "/b/progress/c/versions/1"), ("PUT", "/progress/c/packs/1-2-3")];
        assert_eq!(answers(Duration::from_secs(600), &ours, &[503, 200, 503, 200]), [Some(200); 2]);
    }
}
