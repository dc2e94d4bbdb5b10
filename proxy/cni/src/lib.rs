//! Redirection by the node instead of by a container of the pod: a plugin of the Container Network Interface, chained
//! behind whichever plugin makes the pod's network, and the installer that chains it and keeps it chained.
//!
//! What to redirect stands in the pod's annotation [`plugin::ANNOTATION`], which the injector writes; the container runtime
//! hands the pod's annotations over with the call (capability [`conflist::CAPABILITY`]). So the plugin asks no API server,
//! holds no credential, and cannot be slow.
//!
//! A pod may be there before the plugin is: its validator refuses to go on, and the installer, which reads of such pods in
//! the runtime's cache, redirects them afterwards ([`repair`]).

pub mod conflist;
pub mod install;
pub mod plugin;
pub mod repair;
