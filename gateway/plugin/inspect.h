// Everything that can be said of one shared object: its types, and whatever is wrong with it. The daemon's
// own loading and configuring are what judge it; what only an author can mend (further symbols, a schema that
// is no JSON) comes on top. Runs the plugin's code, so it belongs into a process that may crash or hang.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::plugin {

struct InspectedType {
  std::string name, version;
  enum class Role : uint8_t { authenticator, other } role = Role::other;
  uint32_t request_bytes = 0;  // ctx_size
  std::vector<std::string> needs, hooks;
  std::string schema;              // JSON; empty: it has none
  std::vector<std::string> asked;  // what an empty configuration lacks; empty: it is accepted
};

struct Inspection {
  std::string path, hash;
  uint64_t bytes = 0;
  uint16_t abi_major = 0, abi_minor = 0;  // that it was built with
  std::vector<InspectedType> types;
  std::vector<std::string> problems;  // a sentence each, about the file
  bool good() const { return problems.empty(); }
};

// Main thread. `begins` hears what is about to happen, as the end of a sentence ("while it was loaded").
Inspection inspect(const std::string& path, const std::function<void(std::string_view)>& begins);

}  // namespace penstock::plugin
