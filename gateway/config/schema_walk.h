// Holds a tree against the schema table: unknown keys, types, units, ranges, words, what is not supported
// yet. Everything wrong is reported in one go and marked unusable, so that nobody complains twice. Short
// forms are written out on the way ("health_check: /x" becomes a map, a single item a list). Control thread
// only; pure.
#pragma once
#include "config/diagnostic.h"
#include "config/node.h"
#include "config/schema.h"

namespace penstock::config {

void walk_schema(Node& root, const Schema& schema, Diagnostics& diagnostics);
// One node as if it stood at `at` of the table; messages call it `path`.
void walk_part(Node& node, const Schema& schema, std::string_view at, const std::string& path,
               Diagnostics& diagnostics);

}  // namespace penstock::config
