//! Whole-system tests: they use Deltic as its users do. See `system/`.
