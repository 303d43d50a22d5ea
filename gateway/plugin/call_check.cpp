// What debug builds find out about who calls the tables, and from where.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "plugin/handles.h"

namespace penstock::plugin {

#ifndef NDEBUG
bool usable(const gw_req* req, const char* function, const void* caller) {
  if (req == nullptr) return false;
  const bool inside = running_code.code.load(std::memory_order_relaxed) != nullptr &&
                      running_code.request.load(std::memory_order_relaxed) == req;
  if (inside) return true;
  const std::string_view file = LoadedCode::file_at(reinterpret_cast<uintptr_t>(caller));
  fmt::print(
      stderr,
      "penstock: {} called {} outside of the hook that this request was given to, or on another thread\n",
      file.empty() ? "somebody" : file, function);
  std::abort();
}
#endif

}  // namespace penstock::plugin
