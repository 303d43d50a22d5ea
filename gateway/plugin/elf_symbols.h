// The dynamic symbols of a shared object, read from the file's bytes without running anything of it. For
// `penstock plugin check`: what a plugin exports, what it wants from others. Pure; any bytes will do.
#pragma once
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::plugin {

struct ElfSymbol {
  enum class Kind : uint8_t { exported, unique, wanted, wanted_if_there };
  std::string name;
  Kind kind;
};

// Without local and hidden ones, in the file's order; or a sentence.
std::expected<std::vector<ElfSymbol>, std::string> dynamic_symbols(std::string_view bytes);

}  // namespace penstock::plugin
