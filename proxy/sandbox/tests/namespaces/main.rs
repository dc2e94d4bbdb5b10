//! The sandbox and the redirection in real network namespaces, as root and as a user. Needs no network but its own.

#[cfg(test)]
mod pods;
#[cfg(test)]
mod redirection;
#[cfg(test)]
mod world;
