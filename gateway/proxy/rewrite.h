// A route's rewrite of the path on the way to the backend, and of Location on the way back.
#pragma once
#include <optional>
#include <string_view>

#include "proxy/request_context.h"

namespace penstock::proxy {

// What the backend gets for context.path; in the request's arena. Nothing where the parts that were put
// together read as something else than they did alone: "/public/" and "../secret".
std::optional<std::string_view> rewritten_path(const RequestContext& context);

// A backend's Location under the prefix that rewrite.path_prefix put there, as the client knows it: on this
// host or the one that the backend was told, absolute or not. Nothing: it stays as it is.
std::optional<std::string_view> location_for_client(const RequestContext& context, std::string_view location);

}  // namespace penstock::proxy
