//! Two programs that talk by TCP, from one pod to another: `guests echo PORT`, and `guests talk ADDRESS:PORT WHAT`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Bytes of the stream that is measured, and of the blocks that it is written in.
const STREAM: usize = 256 << 20;
const BLOCK: usize = 64 << 10;
const ROUNDS: u32 = 20_000;

/// Sends back what comes, connection for connection, until it is killed. A connection that begins with `S` is read to its end, and its length told.
pub fn echo(port: &str) -> ExitCode {
    let Some(listener) = port.parse().ok().and_then(|port: u16| TcpListener::bind(("0.0.0.0", port)).ok()) else {
        return ExitCode::FAILURE;
    };
    println!("listening");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
    ExitCode::SUCCESS
}

fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut block = vec![0; BLOCK];
    let (mut first, mut total) = (None, 0);
    loop {
        match stream.read(&mut block) {
            Ok(count @ 1..) => {
                if total == 0 {
                    println!("begun");
                }
                total += count;
                let swallow = *first.get_or_insert(block[0]) == b'S';
                if !swallow && stream.write_all(&block[..count]).is_err() {
                    return println!("broken");
                }
            }
            Ok(_) => break,
            Err(error) => return println!("broken: {}", error.kind()),
        }
    }
    if first == Some(b'S') {
        let _ = stream.write_all(total.to_string().as_bytes());
    }
    println!("ended");
}

/// Talks to it; prints what came of it.
pub fn talk(to: &str, what: &str) -> ExitCode {
    let connected = Instant::now();
    let mut stream = match TcpStream::connect(to) {
        Ok(stream) => stream,
        Err(error) => {
            println!("not connected: {}", error.kind());
            return ExitCode::FAILURE;
        }
    };
    let connect_us = connected.elapsed().as_micros();
    let _ = stream.set_nodelay(true);
    let said = match what {
        "names" => Ok(format!("{} {}", stream.local_addr().map_or(0, |own| own.port()), stream.peer_addr().is_ok())),
        "hello" => hello(&mut stream),
        "keep" => keep(&mut stream),
        "measure" => measure(&mut stream, to).map(|said| format!("{{\"connectUs\":{connect_us},{said}}}")),
        _ => return ExitCode::from(99),
    };
    match said {
        Ok(said) => println!("{said}"),
        Err(error) => println!("broken: {}", error.kind()),
    }
    ExitCode::SUCCESS
}

fn hello(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut said = [0; 5];
    stream.write_all(b"hello")?;
    stream.read_exact(&mut said)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let rest = stream.read(&mut [0; 9])?;
    Ok(format!("{} {rest}", String::from_utf8_lossy(&said)))
}

/// Talks on and on, until it breaks.
fn keep(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    println!("talking");
    loop {
        stream.write_all(b"x")?;
        if stream.read(&mut [0; 9])? == 0 {
            return Ok("ended".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn measure(stream: &mut TcpStream, to: &str) -> std::io::Result<String> {
    let mut byte = [0; 1];
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut byte)?;
        times.push(start.elapsed());
    }
    times.sort();
    let mut stream = TcpStream::connect(to)?;
    let block = vec![b'S'; BLOCK];
    let start = Instant::now();
    for _ in 0..STREAM / BLOCK {
        stream.write_all(&block)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut told = String::new();
    stream.read_to_string(&mut told)?;
    let mib = STREAM as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64();
    let us = |at: usize| times[at].as_nanos() as f64 / 1000.0;
    Ok(format!(
        "\"bestUs\":{:.1},\"medianUs\":{:.1},\"mibPerSecond\":{mib:.0},\"whole\":{}",
        us(0),
        us(times.len() / 2),
        told == STREAM.to_string()
    ))
}
