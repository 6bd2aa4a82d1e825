//! deltic
