#!/bin/sh
# Builds the C library and installs it: header, shared and static library, pkg-config file.
#   ffi/install.sh PREFIX              for instance ~/.local, or /usr/local
#   PROFILE=dev ffi/install.sh PREFIX  unoptimised, with the checks of debug builds
#   NET=no ffi/install.sh PREFIX       without the network (compile with -DLIT_NO_NET)
#   DESTDIR=dir ffi/install.sh PREFIX  for packagers: files below dir, PREFIX as they will be
set -eu
if [ $# -ne 1 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
prefix=$1
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
cd "$(dirname "$0")/.."

profile=${PROFILE:-release} features='' cflags=''
if [ "${NET:-yes}" = no ]; then
  features=--no-default-features cflags=' -DLIT_NO_NET'
fi
cargo build --locked -p littoral-ffi --profile "$profile" $features
target=${CARGO_TARGET_DIR:-target}
built=$target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$(echo "$profile" | sed 's/^dev$/debug/')
version=$(sed -n 's/^#define LIT_VERSION "\(.*\)"/\1/p' include/littoral.h)
abi=$(sed -n 's/^#define LIT_ABI_VERSION //p' include/littoral.h)

to=${DESTDIR:-}$prefix
mkdir -p "$to/include" "$to/lib/pkgconfig"
install -m 644 include/littoral.h "$to/include/littoral.h"
install -m 644 "$built/liblittoral_ffi.a" "$to/lib/liblittoral.a"
if [ "$(uname)" = Darwin ]; then
  install -m 755 "$built/liblittoral_ffi.dylib" "$to/lib/liblittoral.dylib"
  install_name_tool -id "$prefix/lib/liblittoral.dylib" "$to/lib/liblittoral.dylib"
  private='-lSystem -lc -lm -framework Security -framework CoreFoundation'
else
  install -m 755 "$built/liblittoral_ffi.so" "$to/lib/liblittoral.so.$version"
  ln -sf "liblittoral.so.$version" "$to/lib/liblittoral.so.$abi"
  ln -sf "liblittoral.so.$abi" "$to/lib/liblittoral.so"
  # As rustc --print native-static-libs has it.
  private='-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc'
fi
cat >"$to/lib/pkgconfig/littoral.pc" <<PC
prefix=$prefix
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: littoral
Description: An edge-replicated document store
URL: https://github.com/littoral-db/littoral
Version: $version
Cflags: -I\${includedir}$cflags
Libs: -L\${libdir} -llittoral
Libs.private: $private
PC
echo "installed littoral $version in $to"
