//! Debug.
