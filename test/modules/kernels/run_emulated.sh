#!/bin/sh
#
# run_emulated.sh
#	  Runs the kernel test on an emulated processor with AVX-512.
#
# Usage: run_emulated.sh TEST INIT [CPU]
#
# TEST and INIT are static programs (kernels_test and kernels_init), CPU one
# of Bochs's processors with AVX-512, corei7_skylake_x by default.  That one
# has no VPOPCNTDQ; on corei7_icelake_u, which has, Debian 12's kernel does not
# get through its start in Bochs 2.7.  Debian's kernel is booted with TEST in its initial file system; what it
# prints comes out of the emulated serial line.  Ends with 0 if all passed,
# 1 if not, and 77 if a needed tool is missing.
#
set -eu

test_program=$1
init_program=$2
cpu=${3:-corei7_skylake_x}
limit=${EMULATION_LIMIT:-3600}
isolinux=/usr/lib/ISOLINUX/isolinux.bin
ldlinux=/usr/lib/syslinux/modules/bios/ldlinux.c32
bios=/usr/share/bochs/BIOS-bochs-latest
vgabios=/usr/share/vgabios/vgabios.bin

skip()
{
	echo "skipped: $1 is missing; on Debian:" \
		"apt-get install bochs bochs-term bochsbios vgabios isolinux" \
		"syslinux-common xorriso cpio"
	exit 77
}

for file in "$isolinux" "$ldlinux" "$bios" "$vgabios"; do
	[ -e "$file" ] || skip "$file"
done
for tool in bochs script xorriso cpio apt-get dpkg-deb; do
	command -v "$tool" >/dev/null || skip "$tool"
done

work=$(mktemp -d)
# Bochs catches every signal but this one, and is only ever ended by the id
# that it wrote down itself
stop_emulator()
{
	if [ -s "$work/pid" ]; then
		kill -KILL "$(cat "$work/pid")" 2>/dev/null || :
	fi
}
trap 'stop_emulator; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# a kernel with a serial console, not installed, only unpacked
if [ -z "${EMULATION_KERNEL:-}" ]; then
	package=$(apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	(cd "$work" && apt-get download -q "$package" >apt.log 2>&1 &&
		dpkg-deb -x linux-image-*.deb kernel) || skip "$package"
	EMULATION_KERNEL=$(echo "$work"/kernel/boot/vmlinuz-*)
fi

# a compact disc that boots it
mkdir -p "$work/root" "$work/disc/isolinux"
cp "$test_program" "$work/root/kernels_test"
cp "$init_program" "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/disc/initrd"
cp "$EMULATION_KERNEL" "$work/disc/vmlinuz"
cp "$isolinux" "$ldlinux" "$work/disc/isolinux"
cat >"$work/disc/isolinux/isolinux.cfg" <<END
default test
prompt 0
label test
	kernel /vmlinuz
	append initrd=/initrd console=ttyS0 panic=-1 mitigations=off nokaslr noxsaves clearcpuid=xsavec,pku acpi=off
END
xorriso -as mkisofs -quiet -o "$work/disc.iso" -b isolinux/isolinux.bin \
	-c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
	"$work/disc" 2>"$work/xorriso.log"

cat >"$work/bochsrc" <<END
config_interface: textconfig
display_library: term
memory: guest=256, host=256
romimage: file=$bios
vgaromimage: file=$vgabios
cpu: model=$cpu, count=1, ips=50000000, reset_on_triple_fault=0
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/serial
log: $work/bochs.log
panic: action=fatal
clock: sync=none
END

touch "$work/serial"
# Bochs must have a screen; script gives it one that nobody takes notice
# of; Debian's has a debugger, which waits for the command to continue
echo c >"$work/commands"
TERM=xterm script -q -f "$work/screen" >/dev/null 2>&1 </dev/null \
	-c "echo \$\$ >'$work/pid'; exec bochs -q -f '$work/bochsrc' -rc '$work/commands'" &
emulator=$!

# Bochs does not always notice that the machine has been switched off
waited=0
while kill -0 "$emulator" 2>/dev/null &&
	! grep -q "kernels_test ended" "$work/serial" &&
	[ "$waited" -lt "$limit" ]; do
	sleep 2
	waited=$((waited + 2))
done

tr -d '\r' <"$work/serial"
if grep -q "table avx512: [0-9]* passed, 0 failed" "$work/serial" &&
	grep -q "kernels_test ended with status 0" "$work/serial"; then
	exit 0
fi
echo "the emulated test on $cpu failed, or did not end in $waited s;" \
	"last words of Bochs:"
grep -h "[ep]\[" "$work/bochs.log" | tail -n 5
exit 1
