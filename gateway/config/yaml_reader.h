// YAML text -> our positioned tree: the one place that knows yaml-cpp, on its event interface because that
// tells where an alias stands as well as its anchor. Rejects what YAML allows and this language does not
// (merge keys, repeated keys, a second document, tags), and bounds depth and alias expansion.
// Control thread only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"
#include "config/node.h"
#include "config/sources.h"

namespace penstock::config {

// The root of one file, or nothing after an error that stops the reading (one diagnostic then). An empty file
// is an empty map. Literal secrets found on the way are added to `secrets`.
std::optional<Node> read_yaml(uint32_t file, std::string_view text, Diagnostics& diagnostics,
                              std::vector<SecretSpan>& secrets);

// The bytes of the quoted scalar that `text` begins with, quotes included; 0 where it begins with no quote or
// the closing one is not in `text`.
size_t quoted_length(std::string_view text);

}  // namespace penstock::config
