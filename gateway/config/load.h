// The way into config/: a file or folder -> a compiled configuration and everything that is wrong with it.
// Control thread only. Later layers (plugins, certificates) add to `diagnostics`; render.h prints them all.
#pragma once
#include <string>

#include "config/config.h"
#include "config/diagnostic.h"
#include "config/scalars.h"
#include "config/sources.h"

namespace penstock::config {

struct Loaded {
  Config config;  // to be used only while diagnostics.ok()
  Diagnostics diagnostics;
  Sources sources;  // for quoting lines
  bool ok() const { return diagnostics.ok(); }
};

Loaded load(const std::string& path, const Environment& environment = process_environment());

// The same for text from memory; `name` is its place in messages, and paths are relative to its folder.
Loaded load_text(const std::string& name, std::string text,
                 const Environment& environment = process_environment());

}  // namespace penstock::config
