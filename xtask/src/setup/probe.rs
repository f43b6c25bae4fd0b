//! A program of another architecture, in a few bytes. Running it proves that emulation works.
//!
//! It has ELF's headers (man elf(5)), and code that ends the process with a status, for each
//! architecture (man syscall(2)).

/// The status with which the probe ends. No program ends with it by mistake.
pub const STATUS: i32 = 42;
/// The address of the program in memory. Any page but the first would do.
const AT: u32 = 0x0001_0000;

/// How an architecture writes numbers and ends a process.
struct Machine {
    /// `e_machine`.
    number: u16,
    wide: bool,
    big_endian: bool,
    /// Puts 42 into the first argument and calls exit.
    code: &'static [u8],
}

fn machine(architecture: &str) -> Option<Machine> {
    let little = |number, wide, code| Machine {
        number,
        wide,
        big_endian: false,
        code,
    };
    Some(match architecture {
        // mov edi, 42; mov eax, 60; syscall
        "amd64" => little(
            62,
            true,
            &[0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
        ),
        // mov ebx, 42; mov eax, 1; int 0x80
        "386" => little(3, false, &[0xbb, 42, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]),
        // mov x0, #42; mov x8, #93; svc #0
        "arm64" => little(
            183,
            true,
            &[
                0x40, 0x05, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4,
            ],
        ),
        // mov r0, #42; mov r7, #1; svc #0
        "arm" => little(
            40,
            false,
            &[42, 0, 0xa0, 0xe3, 1, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef],
        ),
        // li a0, 42; li a7, 93; ecall
        "riscv64" => little(
            243,
            true,
            &[
                0x13, 0x05, 0xa0, 0x02, 0x93, 0x08, 0xd0, 0x05, 0x73, 0, 0, 0,
            ],
        ),
        // li r0, 1; li r3, 42; sc
        "ppc64le" => little(21, true, &[1, 0, 0, 0x38, 42, 0, 0x60, 0x38, 2, 0, 0, 0x44]),
        // lghi %r2, 42; svc 1
        "s390x" => Machine {
            number: 22,
            wide: true,
            big_endian: true,
            code: &[0xa7, 0x29, 0, 42, 0x0a, 1],
        },
        _ => return None,
    })
}

/// The probe for an architecture, as platforms name it.
pub fn program(architecture: &str) -> Option<Vec<u8>> {
    let machine = machine(architecture)?;
    let (header, segment) = if machine.wide { (64, 56) } else { (52, 32) };
    let start = header + segment;
    let size = start + machine.code.len();
    let mut out = Writer {
        bytes: Vec::with_capacity(size),
        wide: machine.wide,
        big_endian: machine.big_endian,
    };
    // e_ident: the magic, the class, the byte order, version 1, System V.
    let class = if machine.wide { 2 } else { 1 };
    let order = if machine.big_endian { 2 } else { 1 };
    out.bytes
        .extend([0x7f, b'E', b'L', b'F', class, order, 1, 0]);
    out.bytes.extend([0; 8]);
    out.half(2); // ET_EXEC
    out.half(machine.number);
    out.word(1); // EV_CURRENT
    out.address(u64::from(AT) + start as u64); // e_entry
    out.address(header as u64); // e_phoff
    out.address(0); // no section headers
    // ABI version 2 of 64-bit PowerPC; 32-bit ARM's EABI version 5.
    out.word(match machine.number {
        21 => 2,
        40 => 0x0500_0000,
        _ => 0,
    });
    for number in [header, segment, 1, 0, 0, 0] {
        out.half(u16::try_from(number).unwrap_or_default());
    }
    // One segment: the whole file, to be read and run.
    out.word(1); // PT_LOAD
    if machine.wide {
        out.word(5); // PF_R | PF_X
    }
    out.address(0); // p_offset
    out.address(AT.into()); // p_vaddr
    out.address(AT.into()); // p_paddr
    out.address(size as u64); // p_filesz
    out.address(size as u64); // p_memsz
    if !machine.wide {
        out.word(5);
    }
    out.address(0x1000); // p_align
    out.bytes.extend(machine.code);
    Some(out.bytes)
}

/// Writes numbers as the architecture reads them.
struct Writer {
    bytes: Vec<u8>,
    wide: bool,
    big_endian: bool,
}

impl Writer {
    fn put(&mut self, little_endian: &[u8]) {
        if self.big_endian {
            self.bytes.extend(little_endian.iter().rev());
        } else {
            self.bytes.extend(little_endian);
        }
    }

    fn half(&mut self, number: u16) {
        self.put(&number.to_le_bytes());
    }

    fn word(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    fn address(&mut self, number: u64) {
        let bytes = number.to_le_bytes();
        self.put(if self.wide { &bytes } else { &bytes[..4] });
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::needs::architecture;
    use super::*;

    #[test]
    fn the_probe_of_this_machine_runs_on_it() {
        let own = architecture(std::env::consts::ARCH).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(own);
        std::fs::write(&file, program(own).unwrap()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        // A child that another test has just forked may still hold the file open for writing.
        let status = loop {
            match std::process::Command::new(&file).status() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                status => break status.unwrap(),
            }
        };
        assert_eq!(status.code(), Some(STATUS));
    }

    #[test]
    fn headers_have_the_size_that_they_claim() {
        for name in [
            "amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "s390x",
        ] {
            let bytes = program(name).unwrap();
            let code = machine(name).unwrap().code;
            let head = if bytes[4] == 2 { 64 + 56 } else { 52 + 32 };
            assert_eq!(&bytes[head..], code, "{name}");
        }
        assert_eq!(program("pdp11"), None);
    }
}
