//! Small programs for tests of the sandbox: `guests NAME…` runs cases, `guests --list` names them, `guests bench NAME…` measures, `guests attack …` attacks,
//! `guests fuzz …` makes random system calls, `guests takeover …` has a kernel process make host calls.
//!
//! Unsafe is allowed throughout: these programs make system calls as applications do, wrong ones too.

#![allow(
    unused_unsafe,
    clippy::unnecessary_cast,
    clippy::borrow_deref_ref,
    clippy::deref_addrof,
    clippy::macro_metavars_in_unsafe,
    clippy::manual_dangling_ptr,
    clippy::type_complexity
)]

mod attacks;
mod bench;
mod cases;
mod fuzz;
mod runner;
mod support;
mod takeover;
mod talk;
mod trace;

use std::process::ExitCode;

use trace::{Case, Trace};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--list"] => {
            for (area, case) in all() {
                println!("{area}::{}", case.name);
            }
            ExitCode::SUCCESS
        }
        ["attack", rest @ ..] if attacks::main(rest) => ExitCode::SUCCESS,
        ["attack", ..] => fail("usage: guests attack PATH SECRET PID SOCKET [NAME…]"),
        ["keep", secret] => attacks::neighbour::keep(secret),
        ["takeover", rest @ ..] if takeover::main(rest) => ExitCode::SUCCESS,
        ["fuzz", seed, rounds] => match (seed.parse(), rounds.parse()) {
            (Ok(seed), Ok(rounds)) if fuzz::main(seed, rounds) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
        ["bench", rest @ ..] => bench::main(rest),
        ["echo", port] => talk::echo(port),
        ["talk", to, what] => talk::talk(to, what),
        ["helper", rest @ ..] => cases::helpers::main(rest),
        [] => fail("usage: guests NAME… | guests --list | guests bench NAME… (a NAME that ends with :: is all of an area)"),
        names => run(names),
    }
}

fn all() -> impl Iterator<Item = (&'static str, &'static Case)> {
    cases::AREAS.iter().flat_map(|(area, cases)| cases.iter().map(move |case| (*area, case)))
}

fn run(names: &[&str]) -> ExitCode {
    // Whoever reads two pipes does not learn in which order they were written: what the standard library says of a child that ends badly is its case's.
    // SAFETY: descriptors that nobody owns.
    unsafe { libc::dup2(1, 2) };
    for wanted in names {
        let mut found = false;
        for (area, case) in all() {
            let name = format!("{area}::{}", case.name);
            if name == **wanted || wanted.ends_with("::") && name.starts_with(*wanted) {
                found = true;
                runner::run(&name, || (case.run)(&Trace));
            }
        }
        if !found {
            return fail(&format!("no case is named {wanted}; see guests --list"));
        }
    }
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    eprintln!("guests: {message}");
    ExitCode::from(2)
}
