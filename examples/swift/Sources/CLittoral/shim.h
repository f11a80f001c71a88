/* Beside this file in an XCFramework, on the path that pkg-config gives elsewhere. */
#include "littoral.h"
