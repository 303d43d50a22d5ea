#include <algorithm>
#include <filesystem>

#include "server/build_snapshot.h"

namespace penstock::server {
namespace {

std::vector<std::string> shared_objects(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".so") paths.push_back(it->path().string());
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

std::shared_ptr<const plugin::TypeSet> load_libraries(const config::Config& config, plugin::Host& host,
                                                      const std::string& shipped_folder,
                                                      config::Diagnostics& diagnostics) {
  auto types = std::make_shared<plugin::TypeSet>();
  bool whole = true;
  auto add = [&](const std::string& path, config::Position at) {
    auto library = host.load(path);
    std::string problem = library ? types->add(*library) : library.error();
    if (problem.empty()) return;
    whole = false;
    diagnostics.error(refused_library, at, at.known() ? "plugin_libraries" : "", problem);
  };
  std::vector<std::string> shipped = shared_objects(shipped_folder);
  if (shipped.empty()) {
    whole = false;
    diagnostics.error(refused_library, {}, {},
                      "no plugins in " + shipped_folder +
                          ": build them (cmake --build) or keep the folder 'plugins' beside the binary");
  }
  for (const std::string& path : shipped) add(path, {});
  for (const config::FilePath& library : config.plugin_libraries) add(library.path, library.at);
  return whole ? types : nullptr;
}

}  // namespace penstock::server
