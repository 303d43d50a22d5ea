#include "proxy/local_answers.h"

#include <charconv>

#include "http/stream.h"

namespace penstock::proxy {
namespace {

void add(LocalResponse& answer, Arena& arena, std::string_view name, std::string_view value) {
  answer.headers = arena.make<HeaderEdit>(HeaderEdit::Op::add, name, value, answer.headers);
}

std::string_view without_port(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

}  // namespace

// HTTP/1.0 knows requests without a Host: those get the address that they came to.
static std::string_view own_authority(const RequestContext& request) {
  if (!request.request.authority.empty() || !request.stream) return request.request.authority;
  const net::Address& own = request.stream->local();
  if (!own.valid()) return {};  // of a unix socket
  return request.arena.copy(own.to_string());
}

// OPTIONS * asks about the server, whose URL has no path.
static std::string_view url_path(const RequestContext& request) {
  return request.path == "*" ? std::string_view{} : request.path;
}

LocalResponse redirect_to_listener(RequestContext& request, uint16_t port) {
  LocalResponse answer;
  answer.status = 308;
  char digits[8] = ":";
  auto end = std::to_chars(digits + 1, digits + sizeof digits, port).ptr;
  std::string_view suffix =
      port == 443 ? std::string_view{} : std::string_view(digits, static_cast<size_t>(end - digits));
  std::string_view url =
      request.arena.join("https://", without_port(own_authority(request)), suffix, url_path(request));
  if (request.request.has_query) url = request.arena.join(url, "?", request.request.query);
  add(answer, request.arena, "location", url);
  return answer;
}

LocalResponse redirect_answer(RequestContext& request, const Target::Redirect& redirect) {
  LocalResponse answer;
  answer.status = redirect.status;
  std::string_view scheme = redirect.scheme ? std::string_view(*redirect.scheme) : request.scheme;
  std::string_view host = redirect.host ? std::string_view(*redirect.host) : own_authority(request);
  std::string_view path =
      redirect.path ? redirect.path->render(request, TextTemplate::Into::path) : url_path(request);
  std::string_view url = request.arena.join(scheme, "://", host, path);
  if (redirect.query) {
    std::string_view query = redirect.query->render(request, TextTemplate::Into::query);
    if (!query.empty()) url = request.arena.join(url, "?", query);
  } else if (request.request.has_query) {
    url = request.arena.join(url, "?", request.request.query);
  }
  add(answer, request.arena, "location", url);
  return answer;
}

LocalResponse respond_answer(RequestContext& request, const Target::Respond& respond) {
  LocalResponse answer;
  answer.status = respond.status;
  answer.body = respond.body;
  for (const auto& [name, value] : respond.headers) {
    std::string_view text = value.render(request);
    if (text.empty()) continue;
    if (name == "content-type")
      answer.content_type = text;
    else
      add(answer, request.arena, name, text);
  }
  return answer;
}

}  // namespace penstock::proxy
