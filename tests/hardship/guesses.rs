//! What a wrong password costs, in the processor's instructions: seconds would depend on what else the machine
//! does.

use super::*;
use common::{basic, run_with_input, stdout};

/// A line of the users file, whose bcrypt hash has this cost.
fn user(folder: &Folder, name: &str, cost: &str) -> String {
    stdout(&run_with_input(folder, &["hash-password", "--user", name, "--cost", cost], "a secret"))
}

/// All the instructions of a server that is asked so often for that user with a wrong password.
fn instructions(folder: &Folder, name: &str, guesses: usize) -> u64 {
    let counted = folder.join("callgrind");
    let option = format!("--callgrind-out-file={}", counted.display());
    let callgrind = ["valgrind", "--quiet", "--tool=callgrind", &option];
    let server = Server::run(&mut serve_after(&callgrind, folder));
    for number in 0..guesses {
        let from = format!("10.0.0.{number}");
        let login = basic(name, "no secret");
        let answer = server.get(TARGET, &[("X-Forwarded-For", &from), ("Authorization", &login)]);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let (code, log) = server.stop("TERM");
    assert_eq!(code, Some(0), "{log}");
    let counted = std::fs::read_to_string(counted).unwrap();
    let total =
        counted.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.expect("a total").trim().parse().unwrap()
}

#[test]
#[ignore = "needs valgrind: see .ci/run"]
fn a_guess_costs_the_same_for_a_dear_line_a_cheap_one_and_no_line() {
    let folder = folder("host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.1]");
    let key = "hs256_secret: 0123456789abcdef0123456789abcdef\nusers_file: users";
    configure(&folder, key, "host: 127.0.0.1, port: 0, trusted_proxies: [127.0.0.1]");
    folder.write("users", &(user(&folder, "dear", "8") + &user(&folder, "cheap", "5")));
    // Names of one length; the start and the end of the server are in both counts.
    let each = |name| (instructions(&folder, name, 5) - instructions(&folder, name, 1)) / 4;
    let [dear, cheap, unknown] = ["dear", "cheap", "none"].map(each);
    // An answer without a check costs under a hundredth of that; a check of the cheap line alone, an eighth. The
    // rest of the cheap line's check is several checks, which begin more often: 1 % here.
    assert!(dear > 20_000_000, "{dear}");
    for (name, cost) in [("a cheap line", cheap), ("no line", unknown)] {
        let off = cost.abs_diff(dear);
        assert!(off * 50 < dear, "{name}: {cost} instructions, a dear line {dear}");
    }
}
