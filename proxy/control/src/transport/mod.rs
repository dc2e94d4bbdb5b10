//! gRPC to the control plane over the `h2` crate: one connection per service, made again whenever it ends.

mod channel;
mod dial;
mod meters;
mod resolve;
mod response;

pub use channel::{Channel, ChannelError, maintain};
pub use dial::{DialError, Security, Service};
pub use meters::Meters;
pub use resolve::{Authority, AuthorityError, Resolver};
pub use response::ResponseBody;
