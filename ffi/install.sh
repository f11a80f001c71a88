#!/bin/sh
# Builds the C library and installs it: header, shared and static library, pkg-config, CMake.
#   ffi/install.sh PREFIX                for instance ~/.local, or /usr/local
#   PROFILE=phone ffi/install.sh PREFIX  as small as it gets, for apps on phones
#   PROFILE=dev ffi/install.sh PREFIX    unoptimised, with the checks of debug builds
#   NET=no ffi/install.sh PREFIX         without the network (compile with -DLIT_NO_NET)
#   DESTDIR=dir ffi/install.sh PREFIX    for packagers: files below dir, PREFIX as they will be
#   CARGO_BUILD_TARGET=aarch64-linux-android CARGO='cargo ndk -t arm64-v8a' ffi/install.sh PREFIX
#                                        for another machine; see docs/MOBILE.md
set -eu
if [ $# -ne 1 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
prefix=$1
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
cd "$(dirname "$0")/.."

profile=${PROFILE:-release} features='' define=''
if [ "$profile" = phone ]; then
  features='--features small'
  # The store packs by the fastest way alone: what zstd has for the others need not be on a phone.
  for way in DFAST GREEDY LAZY LAZY2 BTLAZY2 BTOPT BTULTRA; do
    CFLAGS="${CFLAGS:-} -DZSTD_EXCLUDE_${way}_BLOCK_COMPRESSOR"
  done
  export CFLAGS
fi
if [ "${NET:-yes}" = no ]; then
  features="$features --no-default-features" define=LIT_NO_NET
fi
if [ "$profile" = dev ]; then
  ${CARGO:-cargo} build --locked -p littoral-ffi $features
else
  # Without the rlib, which no C program needs and with which cargo optimises nothing across crates.
  ${CARGO:-cargo} rustc --locked -p littoral-ffi --lib --crate-type cdylib,staticlib \
    --profile "$profile" $features
fi
target=${CARGO_TARGET_DIR:-target}
built=$target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$(echo "$profile" | sed 's/^dev$/debug/')
version=$(sed -n 's/^#define LIT_VERSION "\(.*\)"/\1/p' include/littoral.h)
abi=$(sed -n 's/^#define LIT_ABI_VERSION //p' include/littoral.h)

# The file of the shared library; what else a program needs that links the static one: as
# `rustc --print native-static-libs` has it.
case ${CARGO_BUILD_TARGET:-$(uname)} in
  *apple* | Darwin)
    shared=liblittoral.dylib
    private='-lSystem -lc -lm -framework Security -framework CoreFoundation' ;;
  *android*)
    shared=liblittoral.so
    private='-llog -ldl -lm -lc' ;;
  *musl*)
    shared=liblittoral.so.$version
    private='-lunwind -lc' ;;
  *)
    shared=liblittoral.so.$version
    private='-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc' ;;
esac

to=${DESTDIR:-}$prefix
mkdir -p "$to/include" "$to/lib/pkgconfig" "$to/lib/cmake/littoral"
install -m 644 include/littoral.h "$to/include/littoral.h"
install -m 644 "$built/liblittoral_ffi.a" "$to/lib/liblittoral.a"
case $shared in
  *.dylib)
    install -m 755 "$built/liblittoral_ffi.dylib" "$to/lib/$shared"
    install_name_tool -id "$prefix/lib/$shared" "$to/lib/$shared" ;;
  *)
    # There is none where everything is linked statically, as with musl.
    if [ -e "$built/liblittoral_ffi.so" ]; then
      install -m 755 "$built/liblittoral_ffi.so" "$to/lib/$shared"
    fi ;;
esac
case $shared in
  *.so.*)
    if [ -e "$to/lib/$shared" ]; then
      ln -sf "$shared" "$to/lib/liblittoral.so.$abi"
      ln -sf "liblittoral.so.$abi" "$to/lib/liblittoral.so"
    fi ;;
esac

cat >"$to/lib/pkgconfig/littoral.pc" <<PC
prefix=$prefix
includedir=\${prefix}/include
libdir=\${prefix}/lib

Name: littoral
Description: An edge-replicated document store
URL: https://github.com/littoral-db/littoral
Version: $version
Cflags: -I\${includedir}${define:+ -D$define}
Libs: -L\${libdir} -llittoral
Libs.private: $private
PC

# "-lm -framework Security" as CMake wants it: "-lm;-framework Security".
linked=$(echo "$private" | sed 's/ -/;-/g')
cat >"$to/lib/cmake/littoral/littoral-config.cmake" <<CMAKE
# find_package(littoral) gives the targets littoral::shared and littoral::static.
get_filename_component(_littoral_prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET littoral::static)
  add_library(littoral::static STATIC IMPORTED)
  set_target_properties(littoral::static PROPERTIES
    IMPORTED_LOCATION "\${_littoral_prefix}/lib/liblittoral.a"
    INTERFACE_INCLUDE_DIRECTORIES "\${_littoral_prefix}/include"
    INTERFACE_COMPILE_DEFINITIONS "$define"
    INTERFACE_LINK_LIBRARIES "$linked")
endif()

if(NOT TARGET littoral::shared AND EXISTS "\${_littoral_prefix}/lib/$shared")
  add_library(littoral::shared SHARED IMPORTED)
  set_target_properties(littoral::shared PROPERTIES
    IMPORTED_LOCATION "\${_littoral_prefix}/lib/$shared"
    INTERFACE_INCLUDE_DIRECTORIES "\${_littoral_prefix}/include"
    INTERFACE_COMPILE_DEFINITIONS "$define")
endif()

unset(_littoral_prefix)
CMAKE
cat >"$to/lib/cmake/littoral/littoral-config-version.cmake" <<CMAKE
# As cargo has it: 0.1 and 0.2 differ, 1.1 and 1.2 don't.
set(PACKAGE_VERSION $version)
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_FIND_VERSION VERSION_LESS_EQUAL PACKAGE_VERSION
    AND PACKAGE_FIND_VERSION_MAJOR EQUAL ${version%%.*})
  if(PACKAGE_FIND_VERSION_MAJOR GREATER 0
      OR PACKAGE_FIND_VERSION_COUNT LESS 2
      OR PACKAGE_FIND_VERSION_MINOR EQUAL $(echo "$version" | cut -d. -f2))
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
  endif()
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
CMAKE
echo "installed littoral $version in $to"
