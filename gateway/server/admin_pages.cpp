#include "server/admin_pages.h"

namespace penstock::server {

void AdminPages::serve(std::string_view path, std::function<void(LocalAnswer)> done) {
  const auto json = [&](std::string body) {
    done({.content_type = "application/json", .body = std::move(body)});
  };
  if (path == "/v1/plugins") return json(admin::plugins_json(source_.plugin_facts()));
  if (path == "/v1/versions") return json(admin::versions_json(source_.plugin_facts()));
  done({.status = 404});
}

}  // namespace penstock::server
