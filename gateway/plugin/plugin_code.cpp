#include "plugin/plugin_code.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>

namespace penstock::plugin {

thread_local constinit RunningCode running_code;

std::string_view name(CodeKind kind) {
  static constexpr std::array<std::string_view, code_kinds> names{"authenticate",
                                                                  "on_request_headers",
                                                                  "on_request_body",
                                                                  "on_request_trailers",
                                                                  "on_response_headers",
                                                                  "on_response_body",
                                                                  "on_response_trailers",
                                                                  "on_upgrade",
                                                                  "on_resume",
                                                                  "on_attempt",
                                                                  "on_complete",
                                                                  "explain",
                                                                  "init",
                                                                  "deinit",
                                                                  "configure",
                                                                  "destroy",
                                                                  "worker_start",
                                                                  "worker_stop",
                                                                  "status",
                                                                  "an event's callback"};
  return names[static_cast<size_t>(kind)];
}

std::string one_line(std::string_view text) {
  std::string out(text.substr(0, 1024));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

// Written on the main thread; `end` is written last and taken back first, so that a handler on another
// thread sees a whole range or none.
struct LoadedCode::Range {
  std::atomic<uintptr_t> begin{0}, end{0};
  std::array<char, 64> file{};
};
constinit std::array<LoadedCode::Range, 64> LoadedCode::ranges_{};

namespace {

struct Extent {
  uintptr_t base;
  uintptr_t begin = UINTPTR_MAX, end = 0;
};

int measure(dl_phdr_info* info, size_t, void* data) {
  auto& extent = *static_cast<Extent*>(data);
  if (info->dlpi_addr != extent.base) return 0;
  for (size_t i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    extent.begin = std::min<uintptr_t>(extent.begin, extent.base + segment.p_vaddr);
    extent.end = std::max<uintptr_t>(extent.end, extent.base + segment.p_vaddr + segment.p_memsz);
  }
  return 1;
}

}  // namespace

LoadedCode::LoadedCode(void* object, std::string_view file) {
  link_map* map = nullptr;
  if (::dlinfo(object, RTLD_DI_LINKMAP, &map) != 0) return;
  Extent extent{map->l_addr};
  ::dl_iterate_phdr(&measure, &extent);
  const auto free = std::ranges::find_if(ranges_, [](const Range& range) { return range.end.load() == 0; });
  if (extent.end == 0 || free == ranges_.end()) return;
  range_ = &*free;
  range_->file.fill('\0');
  std::ranges::copy(file.substr(0, range_->file.size() - 1), range_->file.begin());
  range_->begin.store(extent.begin, std::memory_order_relaxed);
  range_->end.store(extent.end, std::memory_order_release);
}

LoadedCode::~LoadedCode() {
  if (range_ != nullptr) range_->end.store(0);
}

std::string_view LoadedCode::file_at(uintptr_t address) {
  for (const Range& range : ranges_) {
    const uintptr_t end = range.end.load(std::memory_order_acquire);
    if (address < end && address >= range.begin.load(std::memory_order_relaxed)) return range.file.data();
  }
  return {};
}

}  // namespace penstock::plugin
