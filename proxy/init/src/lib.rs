//! Transparent redirection of a pod's connections through the proxy.

pub mod netlink;
