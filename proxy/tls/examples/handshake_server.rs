//! Accepts mutual TLS as the proxy does and sends back what it is sent: a target for handshake probers.
//!
//! `handshake_server DIR IDENTITY` reads `anchors.pem`, `leaf.der`, `issuer.der` and `key.der` (PKCS#8) from the
//! directory, prints the port it listens on, and ends when its input does.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hauberk_model::identity::Identity;
use hauberk_tls::{Credentials, Keypair, PostQuantum, TrustAnchors, accept};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const HANDSHAKE_MAX: Duration = Duration::from_secs(3);
const LIFE: Duration = Duration::from_secs(3600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(dir), Some(identity), None) = (words.next(), words.next(), words.next()) else {
        return Err("usage: handshake_server DIR IDENTITY".into());
    };
    let credentials = Arc::new(load(&PathBuf::from(dir), &identity)?);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    // Ends with whoever started it, also when that is killed.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    loop {
        let (io, _) = listener.accept().await?;
        tokio::spawn(serve(io, Arc::clone(&credentials)));
    }
}

fn load(dir: &std::path::Path, identity: &str) -> Result<Credentials, Box<dyn Error>> {
    let read = |name: &str| std::fs::read(dir.join(name));
    Ok(Credentials::new(
        &TrustAnchors::from_pem(&read("anchors.pem")?)?,
        Identity::parse(identity)?,
        &Keypair::from_pkcs8(&read("key.der")?)?,
        read("leaf.der")?,
        vec![read("issuer.der")?],
        SystemTime::now() + LIFE,
        PostQuantum::Prefer,
    )?)
}

async fn serve(io: TcpStream, credentials: Arc<Credentials>) {
    match accept(io, &credentials, HANDSHAKE_MAX).await {
        Ok((mut stream, _)) => {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                let Some(read) = bytes.get(..count) else { return };
                if stream.write_all(read).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
        Err(error) => eprintln!("{}: {error}", error.label()),
    }
}
