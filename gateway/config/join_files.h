// A folder's files as one tree: listeners, routes, upstreams, plugins and consumers join, every other key
// stands in one file only. Control thread only; pure.
#pragma once
#include <vector>

#include "config/diagnostic.h"
#include "config/node.h"

namespace penstock::config {

// Names that two files define are an error here for maps (upstreams, plugins); names in lists are compared by
// validation, in one file as over several.
Node join_files(std::vector<Node> roots, Diagnostics& diagnostics);

}  // namespace penstock::config
