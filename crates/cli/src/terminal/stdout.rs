//! Standard output, reserved for results.
//!
//! Compilers print: for debugging, or because a library does. Such text between the lines of a report, or inside a JSON document,
//! would damage the result. A compiler must also never wait for a lock that a command holds while it writes. So on Unix only the
//! command has the real standard output. Everything else that the process or its child processes print there goes to standard
//! error. On other systems both go to standard output, in the order in which they are printed.

use std::io::Write;

/// Standard output, reserved while this lives.
#[derive(Debug)]
pub(crate) struct Stdout {
    #[cfg(unix)]
    own: Option<std::sync::Arc<std::fs::File>>,
}

impl Stdout {
    /// Reserves standard output for [`Stdout::writer`]; if that is not possible, it is shared.
    pub(crate) fn keep() -> Stdout {
        // Text that was printed before still goes to standard output.
        let _ = std::io::stdout().flush();
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            // Child processes do not inherit it: one that outlives the command would keep the reader waiting.
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
    /// Text that the program prints after its command goes to standard output again.
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(own) = &self.own {
            // The last printed text, which had no line break.
            let _ = std::io::stdout().flush();
            let _ = nix::unistd::dup2_stdout(own);
        }
    }
}
