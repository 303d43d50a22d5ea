// ${env:NAME}, ${env:NAME:-default}, ${file:path}, ${cred:name} in scalars, replaced after parsing; $${ is a
// literal. What comes from such a reference is secret and never printed. Control thread only; the one place
// of config/ that reads the environment.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/diagnostic.h"
#include "config/node.h"
#include "config/sources.h"

namespace penstock::config {

struct Environment {
  std::function<std::optional<std::string>(std::string_view)> variable;
  std::string credentials_directory;  // of ${cred:}; empty: there is none
};

// The process's own; the directory is systemd's $CREDENTIALS_DIRECTORY.
Environment process_environment();

// Replaces in every scalar below `root`, and warns of secrets that are written out or that others can read.
void replace_references(Node& root, Sources& sources, const Environment& environment,
                        Diagnostics& diagnostics);

}  // namespace penstock::config
