// A request context over an arena of its own, for tests that need no connection.
#pragma once
#include <string>

#include "proxy/request_context.h"
#include "proxy/snapshot.h"

namespace penstock::proxy::testing {

struct Request {
  BlockPool pool;
  Arena arena{pool};
  http::Message head{arena};
  Names names;
  net::Address peer = *net::Address::parse("203.0.113.9:1234");
  RequestContext context{arena, head};

  // "GET", "api.example.com", "/a?x=1"
  Request(std::string_view method, std::string_view host, std::string_view target) {
    head.method = http::method_from(method);
    head.method_text = arena.copy(method);
    head.authority = arena.copy(host);
    target = arena.copy(target);
    size_t mark = target.find('?');
    head.path = target.substr(0, mark);
    head.has_query = mark != std::string_view::npos;
    if (head.has_query) head.query = target.substr(mark + 1);
    context.names = &names;
    context.path = head.path;
    context.sent_path = head.path;
    context.sent_host = head.authority;
    context.peer = &peer;
    context.client_address = "203.0.113.9";
    context.scheme = "http";
  }
  Request& header(std::string_view name, std::string_view value) {
    head.headers.add(arena.copy(name), arena.copy(value));
    return *this;
  }
};

}  // namespace penstock::proxy::testing
