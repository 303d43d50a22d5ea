#include "proxy/rewrite.h"

#include <algorithm>

#include "proxy/canonical_path.h"
#include "proxy/hop_fields.h"
#include "proxy/route.h"

namespace penstock::proxy {
namespace {

std::string_view without_final_slashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

std::string_view put_together(const RequestContext& context) {
  if (!context.upstream_path.empty()) return context.upstream_path;
  const Route& route = *context.route;
  if (route.rewrite_path) return route.rewrite_path->render(context, TextTemplate::Into::path);
  if (!route.config->rewrite || !route.config->rewrite->path_prefix) return context.path;
  std::string_view prefix = *route.config->rewrite->path_prefix;
  std::string_view rest = context.path.substr(context.matched_prefix);
  if (rest.empty()) return prefix;
  return context.arena.join(without_final_slashes(prefix), rest);  // exactly one slash at the seam
}

// A part that is empty leaves two slashes, which mean one to everybody.
std::string_view merge_slashes(const RequestContext& context, std::string_view path) {
  if (path.find("//") == std::string_view::npos) return path;
  char* out = static_cast<char*>(context.arena.allocate(path.size(), 1));
  const char* end =
      std::ranges::unique_copy(path, out, [](char a, char b) { return a == '/' && b == '/'; }).out;
  return {out, static_cast<size_t>(end - out)};
}

}  // namespace

std::optional<std::string_view> rewritten_path(const RequestContext& context) {
  if (!context.path.starts_with('/')) return context.path;  // OPTIONS *
  std::string_view path = put_together(context);
  if (path.data() == context.path.data()) return path;
  path = merge_slashes(context, path);
  auto canonical = canonical_path(context.arena, path);
  if (!canonical || *canonical != path) return std::nullopt;
  return path;
}

std::optional<std::string_view> location_for_client(const RequestContext& context,
                                                    std::string_view location) {
  std::string_view origin;
  if (location.starts_with("http://") || location.starts_with("https://")) {
    const size_t host = location.find("//") + 2;
    const size_t end = std::min(location.find_first_of("/?#", host), location.size());
    const std::string_view authority = location.substr(host, end - host);
    const bool clients = same_ignoring_case(authority, context.sent_host);
    if (!clients && !same_ignoring_case(authority, context.request.authority)) return std::nullopt;
    // A client of HTTP/1.0 may have named no host: what is left of the URL is meant for the one that it
    // asked.
    if (!context.sent_host.empty())
      origin =
          clients ? location.substr(0, end) : context.arena.join(location.substr(0, host), context.sent_host);
    location.remove_prefix(end);
  } else if (location.starts_with("//")) {
    return std::nullopt;  // another host's
  }
  if (!location.starts_with('/')) return std::nullopt;  // relative, or none at all
  const std::string_view prefix = without_final_slashes(*context.route->config->rewrite->path_prefix);
  if (!location.starts_with(prefix)) return std::nullopt;
  std::string_view rest = location.substr(prefix.size());
  if (!rest.empty() && std::string_view("/?#").find(rest.front()) == std::string_view::npos)
    return std::nullopt;
  const std::string_view known = without_final_slashes(context.path.substr(0, context.matched_prefix));
  // Two slashes at the beginning would name another host.
  while (rest.starts_with("//")) rest.remove_prefix(1);
  const bool bare = known.empty() && !rest.starts_with('/');
  return context.arena.join(origin, known, bare ? "/" : "", rest);
}

}  // namespace penstock::proxy
