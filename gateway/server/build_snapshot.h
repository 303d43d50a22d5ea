// From a compiled configuration to a snapshot that workers can serve: plugin instances configured,
// certificates loaded, routes compiled. Main thread, without side effects that a refused configuration would
// leave: no socket is bound and no plugin thread started. Split by idea: build_filters, build_targets,
// build_listeners, build_routes,
// load_libraries.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "config/diagnostic.h"
#include "plugin/host.h"
#include "proxy/snapshot.h"

namespace penstock::server {

// The code of a diagnostic about a library that cannot be used; the daemon then exits with 4.
inline constexpr std::string_view refused_library = "plugin-refused";

// The plugin code that a configuration may use: the shipped libraries and its own plugin_libraries. Null with
// a diagnostic when one cannot be loaded.
std::shared_ptr<const plugin::TypeSet> load_libraries(const config::Config& config, plugin::Host& host,
                                                      const std::string& shipped_folder,
                                                      config::Diagnostics& diagnostics);

// Null: `diagnostics` says why, and it may say more than one thing: with errors from loading in it already,
// plugins and certificates are still looked at. The snapshot is not published yet, so set_addresses() may
// follow.
std::shared_ptr<proxy::Snapshot> build_snapshot(std::shared_ptr<const config::Config> config,
                                                plugin::Host& host,
                                                std::shared_ptr<const plugin::TypeSet> types,
                                                config::Diagnostics& diagnostics);

// What is known only after binding: real ports (port 0 was asked for), and with them where `redirect:`
// listeners send their requests. address_of(index into Config::listeners).
void set_addresses(proxy::Snapshot& snapshot, const std::function<net::Address(size_t)>& address_of);

}  // namespace penstock::server
