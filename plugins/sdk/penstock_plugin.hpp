// The C++ SDK of Penstock: write a class, list its configuration in fields(), end the file with
// GW_PLUGIN(Class). Header only, C++17 to C++23, nothing but penstock_plugin.h and the standard library.
// README.md shows how.
#pragma once
#include "penstock/fields.hpp"
#include "penstock/hooks.hpp"
#include "penstock/request.hpp"
#include "penstock/types.hpp"
