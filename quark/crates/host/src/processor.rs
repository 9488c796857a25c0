//! What the processor says of itself.

use std::arch::x86_64::{__cpuid, CpuidResult};

/// One leaf of `cpuid`: eax, ebx, ecx, edx.
pub fn leaf(number: u32) -> [u32; 4] {
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 processor has the instruction; it changes nothing but registers.
    let CpuidResult { eax, ebx, ecx, edx } = unsafe { __cpuid(number) };
    [eax, ebx, ecx, edx]
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_its_vendor() {
        let [_, ebx, ecx, edx] = super::leaf(0);
        let name: Vec<u8> = [ebx, edx, ecx].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert!(name.iter().all(u8::is_ascii_graphic), "{name:?}");
    }
}
