//! `/proc/cpuinfo`.

use std::fmt::Write;
use std::sync::LazyLock;

use quark_host::processor::leaf;

/// What all processors have in common.
struct Identity {
    vendor: String,
    name: String,
    family: u32,
    model: u32,
    stepping: u32,
    level: u32,
    megahertz: f64,
    flags: String,
}

static IDENTITY: LazyLock<Identity> = LazyLock::new(identify);

fn text(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn identify() -> Identity {
    let [level, b, c, d] = leaf(0);
    let [signature, ..] = leaf(1);
    let (family, model) = (signature >> 8 & 15, signature >> 4 & 15);
    let extended_family = if family == 15 { family + (signature >> 20 & 255) } else { family };
    let extended_model = if family == 6 || family == 15 { model | (signature >> 16 & 15) << 4 } else { model };
    let words: Vec<u32> = (0x8000_0002..=0x8000_0004).flat_map(leaf).collect();
    let megahertz = if level >= 0x16 { leaf(0x16)[0] & 0xffff } else { 0 };
    Identity {
        vendor: text(&[b, d, c]),
        name: text(&words),
        family: extended_family,
        model: extended_model,
        stepping: signature & 15,
        level,
        megahertz: megahertz.into(),
        flags: flags(),
    }
}

/// Names of the flags that programs look for, as Linux spells them (`cpufeatures.h`).
fn flags() -> String {
    let mut flags =
        vec!["fpu", "tsc", "msr", "pae", "cx8", "cmov", "clflush", "mmx", "fxsr", "sse", "sse2", "syscall", "nx", "lm", "constant_tsc"];
    macro_rules! add {
        ($($feature:tt => $name:literal),* $(,)?) => { $( if std::arch::is_x86_feature_detected!($feature) { flags.push($name); } )* };
    }
    add!(
        "sse3" => "pni", "pclmulqdq" => "pclmulqdq", "ssse3" => "ssse3", "fma" => "fma", "cmpxchg16b" => "cx16", "sse4.1" => "sse4_1",
        "sse4.2" => "sse4_2", "movbe" => "movbe", "popcnt" => "popcnt", "aes" => "aes", "xsave" => "xsave", "avx" => "avx",
        "f16c" => "f16c", "rdrand" => "rdrand", "lzcnt" => "abm", "bmi1" => "bmi1", "avx2" => "avx2", "bmi2" => "bmi2",
        "avx512f" => "avx512f", "avx512dq" => "avx512dq", "rdseed" => "rdseed", "adx" => "adx", "avx512ifma" => "avx512ifma",
        "avx512cd" => "avx512cd", "sha" => "sha_ni", "avx512bw" => "avx512bw", "avx512vl" => "avx512vl", "xsaveopt" => "xsaveopt",
        "xsavec" => "xsavec", "avx512vbmi" => "avx512vbmi", "avx512vbmi2" => "avx512_vbmi2", "gfni" => "gfni", "vaes" => "vaes",
        "vpclmulqdq" => "vpclmulqdq", "avx512vnni" => "avx512_vnni", "avx512bitalg" => "avx512_bitalg",
        "avx512vpopcntdq" => "avx512_vpopcntdq", "sse4a" => "sse4a", "tbm" => "tbm",
    );
    flags.join(" ")
}

/// The whole file.
pub fn cpuinfo() -> String {
    let (about, count) = (&*IDENTITY, super::processors());
    let mut text = String::new();
    for number in 0..count {
        let _ = write!(
            text,
            "processor\t: {number}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\ncpu MHz\t\t: {:.3}\n\
             physical id\t: 0\nsiblings\t: {count}\ncore id\t\t: {number}\ncpu cores\t: {count}\napicid\t\t: {number}\ninitial apicid\t: {number}\n\
             fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {}\nbugs\t\t:\nbogomips\t: {:.2}\nclflush size\t: 64\n\
             cache_alignment\t: 64\naddress sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n",
            about.vendor,
            about.family,
            about.model,
            about.name,
            about.stepping,
            about.megahertz,
            about.level,
            about.flags,
            about.megahertz * 2.0,
        );
    }
    text
}
