//! Stores for tests: counting and failing.
