//! Waiting for async work on the calling thread, which may run async code itself.
//!
//! `block_on` of tokio and of `futures` panic on a thread that runs async code already, and so does the drop of a runtime. Here
//! neither panics: the thread parks until the work is done. It must not wait for itself, so nothing that the work needs runs on
//! a thread of somebody else's runtime, which may be parked here too. `object_store` gives the I/O of a folder to the runtime
//! that it finds itself in, and timers belong to that runtime. So within a foreign runtime even the requests to a folder are
//! driven in one of ours.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::{Builder, Handle};

/// Wakes a thread. The thread may be parked by others too, who use up what unparks it: whether it is to go on is noted here.
struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::Release);
        self.0.unpark();
    }
}

/// Waits for a future on the calling thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&unpark));
    let mut context = Context::from_waker(&waker);
    // Inside of a task, tokio lets a future make progress only up to a budget, and then expects the task to yield. This loop never
    // yields, so a future with a budget would never be ready.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        if !unpark.1.swap(false, Ordering::Acquire) {
            std::thread::park();
        } else if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// A runtime that is started when it is needed first, and shared by all who hold a clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedRuntime(Arc<Mutex<Option<Arc<Runtime>>>>);

impl SharedRuntime {
    /// The runtime.
    pub(crate) fn get(&self) -> std::io::Result<Arc<Runtime>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*slot {
            return Ok(Arc::clone(runtime));
        }
        Ok(Arc::clone(slot.insert(Arc::new(Runtime::start()?))))
    }

    /// Waits for a future that needs no runtime, on the calling thread alone: within a foreign runtime, in this one.
    pub(crate) fn wait_inline<F: Future>(&self, future: F) -> F::Output {
        match Handle::try_current().ok().and_then(|_| self.get().ok()) {
            Some(runtime) => runtime.wait(future),
            // Without threads for a runtime it is as in any other place.
            None => wait(future),
        }
    }
}

/// The runtime that drives requests to remote stores. It may be dropped on any thread.
#[derive(Debug)]
pub(crate) struct Runtime(Option<tokio::runtime::Runtime>, Handle);

impl Runtime {
    /// Starts its threads.
    pub(crate) fn start() -> std::io::Result<Runtime> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("deltic-store").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Runtime(Some(runtime), handle))
    }

    /// Waits for a future that uses the timers and sockets of this runtime.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        let _entered = self.1.enter();
        wait(future)
    }

    pub(crate) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.1.spawn(future)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            match Handle::try_current() {
                // In async code it is not allowed to wait for the threads of a runtime.
                Ok(_) => runtime.shutdown_background(),
                Err(_) => drop(runtime),
            }
        }
    }
}
