// Who may pass a route: exactly one of `auth` and `public: true`.
#include <fmt/format.h>

#include "config/compile.h"

namespace penstock::config {
namespace {

AccessList compile_access(const Node* node) {
  return {names_in(usable(node, "consumers")), names_in(usable(node, "groups"))};
}

void report(std::string_view code, Position at, const std::string& path, std::string message, Build& build) {
  build.diagnostics.error(code, at, path, std::move(message)).hint =
      "every route says either auth: or public: true";
}

// An allow list that came out empty would let everybody in, and a deny list that did keeps nobody out.
void refuse_empty(const Node* node, const AccessList& list, const std::string& path,
                  std::string_view otherwise, Build& build) {
  if (node == nullptr || node->unusable || !list.empty()) return;
  for (const Node& child : node->children)
    if (child.unusable) return;
  build.diagnostics
      .error("bad-auth", node->key_at, fmt::format("{}.{}", path, node->key),
             fmt::format("'{}' names nobody", node->key))
      .hint = fmt::format("name consumers or groups, or {}", otherwise);
}

Auth compile_methods(const Node& node, const std::string& path, Build& build) {
  Auth auth;
  auth.at = node.key_at;
  const Node* any_of = node.find("any_of");
  const Node* all_of = node.find("all_of");
  if ((any_of == nullptr) == (all_of == nullptr))
    build.diagnostics
        .error("bad-auth", node.key_at, path,
               any_of == nullptr ? "'auth' names no authenticator" : "'auth' has both any_of and all_of")
        .hint = "write auth: NAME, { any_of: [..] } or { all_of: [..] }";
  const Node* list = any_of != nullptr ? any_of : all_of;
  auth.combine = any_of != nullptr ? Auth::Combine::any_of : Auth::Combine::all_of;
  if (list != nullptr && !list->unusable) {
    auth.authenticators = names_in(list);
    if (list->is_list() && list->children.empty())
      build.diagnostics.error("bad-auth", list->key_at, path, fmt::format("'{}' is empty", list->key));
  }
  auth.allow = compile_access(usable(node, "allow"));
  auth.deny = compile_access(usable(node, "deny"));
  refuse_empty(node.find("allow"), auth.allow, path, "leave it out to allow everybody who is known", build);
  refuse_empty(node.find("deny"), auth.deny, path, "leave it out to deny nobody", build);
  if (flag(&node, "optional", false)) auth.credentials = Auth::Credentials::optional;
  return auth;
}

}  // namespace

std::optional<Auth> compile_auth(const Node& route, const std::string& path, Build& build) {
  const Node* auth = route.find("auth");
  const Node* open = route.find("public");
  if (auth != nullptr && open != nullptr) {
    report("auth-and-public", open->key_at, path + ".public", "'public' stands beside 'auth'", build);
  } else if (auth == nullptr && open == nullptr) {
    std::string name;
    take(&route, "name", name);
    report("no-auth", route.at, path, fmt::format("route '{}' says neither auth nor public: true", name),
           build);
  } else if (open != nullptr && !open->unusable && open->is_scalar() && open->text != "true") {
    report("no-auth", open->at, path + ".public", "'public' can only be true", build);
  }
  if (auth == nullptr || auth->unusable || !auth->is_map()) return std::nullopt;
  return compile_methods(*auth, path + ".auth", build);
}

}  // namespace penstock::config
