//! `docs/guide/errors.md` is what the table of codes says. `HAUBERK_WRITE_DOCS=1` writes it anew.

use std::path::Path;

use hauberk_model::status::{Failure, GrpcCode};

const BEGIN: &str = "<!-- codes: made from proxy/model/src/status -->\n";
const END: &str = "<!-- end of codes -->\n";

fn codes() -> String {
    let mut text = String::new();
    for failure in Failure::ALL {
        let (said, row) = (failure.explained(), failure.row());
        let by_filter = "as the policy says";
        let chooses_http =
            matches!(failure, Failure::InjectedHttp(_) | Failure::Redirected(_) | Failure::Refuted(_));
        let chooses_grpc = matches!(failure, Failure::InjectedGrpc(_));
        let http = if chooses_http { by_filter.to_owned() } else { row.http.to_string() };
        let grpc = if chooses_grpc { by_filter } else { GrpcCode::from_number(row.grpc).name() };
        text += &format!(
            "### {}\n\nHTTP {http}, gRPC {grpc}. {}\n\n**What to do.** {}\n\n",
            said.code, said.meaning, said.action
        );
    }
    text
}

#[test]
fn the_page_of_errors_says_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/errors.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the codes");
    let (found, after) = rest.split_once(END).expect("the end of the codes");
    let wanted = format!("\n{}", codes());
    if std::env::var_os("HAUBERK_WRITE_DOCS").is_some() {
        std::fs::write(&path, [before, BEGIN, &wanted, END, after].concat()).expect("written");
        return;
    }
    assert!(found == wanted, "docs/guide/errors.md is behind: run this test with HAUBERK_WRITE_DOCS=1");
}
