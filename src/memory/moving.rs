//! `memcpy` and `memmove` for the static binary on x86-64.
//!
//! Owns one routine, in assembly. Must not know who calls it. Decision: musl's copies by `rep movsq`
//! whatever the length, which takes some 50 cycles to begin; a token is made of a hundred and fifty copies
//! of a few bytes, and they took a sixth of the processor's time. In Rust it could not be written, because
//! the compiler may turn a copying loop into a call of `memcpy`. All loads of a piece come before its
//! stores, so that the two may overlap; and no byte outside the two is touched.

#![allow(unsafe_code)]

std::arch::global_asm!(
    ".pushsection .text.keypebble_memmove,\"ax\",@progbits",
    ".p2align 5",
    ".globl keypebble_memmove",
    ".hidden keypebble_memmove",
    ".type keypebble_memmove,@function",
    "keypebble_memmove:", // rdi: to, rsi: from, rdx: count; gives `to`
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 2f",
    "cmp rdx, 32",
    "ja 5f",
    // 16 to 32: the first and the last 16, which meet or overlap; so below, too.
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "ret",
    "2:",
    "cmp edx, 8",
    "jb 3f",
    "mov rcx, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rcx",
    "mov [rdi + rdx - 8], r8",
    "ret",
    "3:",
    "cmp edx, 4",
    "jb 4f",
    "mov ecx, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], ecx",
    "mov [rdi + rdx - 4], r8d",
    "ret",
    "4:",
    "test edx, edx",
    "jz 6f",
    // 1 to 3: the first, the middle and the last.
    "mov r10d, edx",
    "shr r10d, 1",
    "movzx ecx, byte ptr [rsi]",
    "movzx r8d, byte ptr [rsi + r10]",
    "movzx r9d, byte ptr [rsi + rdx - 1]",
    "mov [rdi], cl",
    "mov [rdi + r10], r8b",
    "mov [rdi + rdx - 1], r9b",
    "6:",
    "ret",
    "5:",
    "cmp rdx, 64",
    "ja 7f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + rdx - 32]",
    "movups xmm3, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + rdx - 32], xmm2",
    "movups [rdi + rdx - 16], xmm3",
    "ret",
    "7:",
    "mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "jb 9f", // `to` begins within what is copied: from the end
    // Forwards by 64; the last 64 are loaded first, since the loop may overwrite them.
    "movups xmm4, [rsi + rdx - 64]",
    "movups xmm5, [rsi + rdx - 48]",
    "movups xmm6, [rsi + rdx - 32]",
    "movups xmm7, [rsi + rdx - 16]",
    "lea r8, [rdi + rdx - 64]",
    "8:",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + 32]",
    "movups xmm3, [rsi + 48]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + 32], xmm2",
    "movups [rdi + 48], xmm3",
    "add rsi, 64",
    "add rdi, 64",
    "cmp rdi, r8",
    "jb 8b",
    "movups [r8], xmm4",
    "movups [r8 + 16], xmm5",
    "movups [r8 + 32], xmm6",
    "movups [r8 + 48], xmm7",
    "ret",
    "9:",
    // Backwards, the first 64 loaded first.
    "movups xmm4, [rsi]",
    "movups xmm5, [rsi + 16]",
    "movups xmm6, [rsi + 32]",
    "movups xmm7, [rsi + 48]",
    "lea r8, [rdi + rdx]",
    "lea r9, [rsi + rdx]",
    "lea r10, [rdi + 64]",
    "22:",
    "movups xmm0, [r9 - 16]",
    "movups xmm1, [r9 - 32]",
    "movups xmm2, [r9 - 48]",
    "movups xmm3, [r9 - 64]",
    "movups [r8 - 16], xmm0",
    "movups [r8 - 32], xmm1",
    "movups [r8 - 48], xmm2",
    "movups [r8 - 64], xmm3",
    "sub r9, 64",
    "sub r8, 64",
    "cmp r8, r10",
    "ja 22b",
    "movups [rdi], xmm4",
    "movups [rdi + 16], xmm5",
    "movups [rdi + 32], xmm6",
    "movups [rdi + 48], xmm7",
    "ret",
    ".size keypebble_memmove, . - keypebble_memmove",
    ".popsection",
);

// In the static binary it stands for both: what is linked first is what the C library's members yield to.
#[cfg(target_env = "musl")]
std::arch::global_asm!(
    ".globl memcpy",
    ".globl memmove",
    ".type memcpy,@function",
    ".type memmove,@function",
    ".set memcpy, keypebble_memmove",
    ".set memmove, keypebble_memmove",
);

#[cfg(test)]
mod tests {
    unsafe extern "C" {
        fn keypebble_memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8;
    }

    /// Every count, with the two apart by every distance, before and behind, compared with std's; what lies
    /// around must stay.
    #[test]
    fn it_moves_what_it_should_and_nothing_else() {
        let source: Vec<u8> = (0..1200_u32).map(|at| (at * 31 % 251).to_le_bytes()[0]).collect();
        for count in (0..=200).chain([255, 256, 257, 320, 511, 600]) {
            for distance in (0..=80).chain([127, 128, 129, 255, 300]) {
                for (from, to) in [(8, 8 + distance), (8 + distance, 8), (301, 301 - distance)] {
                    let mut moved = source.clone();
                    let mut expected = source.clone();
                    expected[to..to + count].copy_from_slice(&source[from..from + count]);
                    // SAFETY: both lie within `moved`, which nobody else has.
                    unsafe {
                        let start = moved.as_mut_ptr();
                        let given = keypebble_memmove(start.add(to), start.add(from), count);
                        assert_eq!(given, start.add(to));
                    }
                    assert_eq!(moved, expected, "{count} bytes from {from} to {to}");
                }
            }
        }
    }
}
