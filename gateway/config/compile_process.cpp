// What concerns the process as a whole, and the access log.
#include <fmt/format.h>
#include <sys/stat.h>

#include "config/compile.h"

namespace penstock::config {
namespace {

void compile_workers(const Node& root, Build& build) {
  const Node* node = usable(root, "workers");
  if (node == nullptr || !node->is_scalar() || node->text == "auto") return;
  const auto value = parse_integer(node->text);
  if (value && *value >= 1 && *value <= 1024)
    build.config.workers = static_cast<uint32_t>(*value);
  else
    build.diagnostics.error("bad-number", node->at, "workers",
                            fmt::format("workers '{}' is neither auto nor 1 to 1024", shown(*node)));
}

void compile_status(const Node& root, Build& build) {
  const Node* status = usable(root, "status");
  const Node* node = usable(status, "address");
  if (node == nullptr) return;
  const auto address = listen_address(node, build);
  if (!address) return;
  Status out;
  out.address = *address;
  out.at = node->at;
  take_mode(status, out.socket_mode, *address, "status", build);
  take(status, "max_connections", out.max_connections);
  take(status, "endpoint_series", out.endpoint_series);
  build.config.status = out;
}

void compile_redis(const Node& root, Build& build) {
  const Node* node = usable(root, "redis");
  const Node* address = usable(node, "address");
  if (address == nullptr) return;
  const auto parsed = parse_host_port(address->text);
  if (!parsed) return;
  Redis out;
  out.host = parsed->host;
  out.port = parsed->port;
  take(node, "timeout", out.timeout);
  take(node, "username", out.username);
  std::string password;
  take(node, "password", password);
  out.password = Secret(std::move(password));
  take(node, "database", out.database);
  take(node, "max_pending", out.max_pending);
  take(node, "max_failures", out.max_failures);
  out.tls = compile_upstream_tls(usable(node, "tls"), "redis.tls", build);
  if (!out.username.empty() && out.password.reveal().empty())
    build.diagnostics.error("missing-key", node->at, "redis.password", "'username' needs a password too");
  build.config.redis = std::move(out);
}

void compile_admin(const Node& root, Build& build) {
  const Node* admin = usable(root, "admin");
  const Node* node = usable(admin, "address");
  if (node == nullptr) return;
  const auto address = listen_address(node, build);
  if (!address) return;
  // Whoever reaches a TCP port is anybody, until there are tokens.
  if (address->unix_path.empty()) {
    build.diagnostics
        .error("not-supported-yet", node->at, "admin.address", "the admin API on TCP is not supported yet")
        .hint = "write unix:PATH";
    return;
  }
  Admin out;
  out.address = *address;
  out.at = node->at;
  take_mode(admin, out.socket_mode, *address, "admin", build);
  take(admin, "max_connections", out.max_connections);
  build.config.admin = out;
}

// What is wrong with a file's name; the logging plugin reads all else. False: answered here.
bool check_sink(const Node& entry, const std::string& path, Build& build) {
  const Node* file = usable(entry, "file");
  if (file == nullptr || !file->is_scalar()) return true;
  const std::string place = path + ".file";
  for (const std::string_view scheme : {"syslog:", "http://", "https://"})
    if (file->text.starts_with(scheme)) return true;
  if (file->text == "stdout" || file->text == "stderr") return true;
  if (!is_file_name(file->text)) {
    build.diagnostics.error("bad-file", file->at, place,
                            fmt::format("file '{}' is no file name", shown(*file)));
    return false;
  }
  struct stat info{};
  const std::string name = build.sources.resolve(file->at.file, file->text);
  if (::stat(name.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return true;
  build.diagnostics.error("bad-file", file->at, place, fmt::format("file '{}' is a folder", shown(*file)))
      .hint = "name a file in it";
  return false;
}

// One that is not there was answered here: nobody is to try to load it.
void compile_libraries(const Node* list, Build& build) {
  if (list == nullptr) return;
  for (size_t i = 0; i < list->children.size(); ++i) {
    const Node& item = list->children[i];
    if (!item.is_scalar() || item.unusable) continue;
    const size_t errors = build.diagnostics.errors();
    FilePath file = readable_file(item, fmt::format("plugin_libraries[{}]", i), "the plugin library", build);
    if (build.diagnostics.errors() == errors) build.config.plugin_libraries.push_back(std::move(file));
  }
}

}  // namespace

std::vector<LogInstance> compile_access_log(const Node& list, const std::string& path, Build& build) {
  std::vector<LogInstance> logs;
  if (!list.is_list()) return logs;  // none
  for (size_t i = 0; i < list.children.size(); ++i) {
    const Node& entry = list.children[i];
    if (entry.unusable) continue;
    const std::string name = fmt::format("{}[{}]", path, i);
    LogInstance& log = logs.emplace_back(name, name, entry, entry.at);
    if (!check_sink(entry, name, build))
      std::erase_if(log.node.children, [](const Node& child) { return child.key == "file"; });
  }
  return logs;
}

void compile_process(const Node& root, Build& build) {
  Config& config = build.config;
  compile_workers(root, build);
  compile_status(root, build);
  compile_admin(root, build);
  if (const Node* folder = usable(root, "state_dir"); folder != nullptr && folder->is_scalar())
    config.state_dir = build.sources.resolve(folder->at.file, folder->text);
  else
    config.state_dir = build.sources.resolve(0, config.state_dir);
  take_size(usable(root, "limits"), "buffered", config.limits.buffered);
  take(usable(root, "limits"), "health_checks", config.limits.health_checks);
  take(usable(root, "limits"), "plugin_hook", config.limits.plugin_hook);
  take(usable(root, "limits"), "rate_limit_keys", config.limits.rate_limit_keys);
  take_size(usable(root, "limits"), "plugin_store", config.limits.plugin_store);
  compile_redis(root, build);
  take(usable(root, "limits"), "plugin_work", config.limits.plugin_work);
  take(usable(root, "limits"), "plugin_posts", config.limits.plugin_posts);
  take(usable(root, "limits"), "plugin_fetches", config.limits.plugin_fetches);
  const Node* drain = usable(root, "drain");
  take(drain, "accept_for", config.drain.accept_for);
  take(drain, "timeout", config.drain.timeout);
  const Node* dns = usable(usable(root, "discovery"), "dns");
  for (const NameRef& server : names_in(usable(dns, "servers")))
    if (const auto address = parse_address(server.name)) config.dns.servers.push_back(*address);
  compile_libraries(usable(root, "plugin_libraries"), build);
  if (root.find("access_log") == nullptr) {
    Node entry;
    entry.kind = NodeKind::map;
    config.access_log.push_back({"access_log[0]", "access_log[0]", std::move(entry), {}});
  } else if (const Node* log = usable(root, "access_log")) {
    config.access_log = compile_access_log(*log, "access_log", build);
  }
}

}  // namespace penstock::config
