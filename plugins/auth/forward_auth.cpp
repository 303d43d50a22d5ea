#include "forward_auth.h"

#include <algorithm>
#include <array>

namespace auth {
namespace {

constexpr std::string_view accepted_identity = "accepted";  // of a service that names nobody
constexpr size_t max_groups = 64, max_fields = 40;

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What is asked with: at most max_fields, the last ones are left out by nobody's wish (see max_headers).
struct Fields {
  std::array<gw_field, max_fields> all;
  size_t count = 0;
  void add(std::string_view name, std::string_view value) {
    if (value.data() != nullptr && count < all.size()) all[count++] = {gw::str(name), gw::str(value)};
  }
};

}  // namespace

ForwardAuth::ForwardAuth(config c, gw::setup& setup)
    : config_(std::move(c)), self_(setup.self()), decisions_(setup) {
  for (const std::string& name : config_.headers) sent_.push_back(header_of(name, "headers", setup));
  for (const std::string& name : config_.copy) copied_.push_back(header_of(name, "copy", setup));
  if (sent_.size() > max_headers) setup.error("headers", "are more than 16");
  if (copied_.size() > max_headers) setup.error("copy", "names more than 16 headers");
  if (config_.consumer_header) consumer_name_ = lower(*config_.consumer_header);
  if (config_.groups_header) groups_name_ = lower(*config_.groups_header);
  if (config_.failure_status != 503 && config_.failure_status != 403)
    setup.error("failure_status", "is 503 or 403");
  for (const Header& header : sent_) setup.carrier(GW_CARRIER_HEADER, header.name);
  if (config_.challenge) setup.challenge(*config_.challenge);
}

ForwardAuth::Header ForwardAuth::header_of(const std::string& name, std::string_view key, gw::setup& setup) {
  Header out{lower(name), gw::header(name), false};
  if (!out.id) setup.error(key, "'" + name + "' is no header name");
  out.may_repeat = out.name == "cookie";  // RFC 9113 8.2.3
  return out;
}

// Two of a kind: which of them the next hop would take is anybody's guess.
ForwardAuth::Given ForwardAuth::given(const gw::request& r) const {
  Given out = Given::none;
  for (const Header& header : sent_) {
    const uint32_t count = r.header_count(header.id);
    if (count > 1 && !header.may_repeat) return Given::repeated;
    if (count > 0) out = Given::some;
  }
  return out;
}

gw::verdict ForwardAuth::authenticate(gw::request r) {
  const Given credentials = given(r);
  if (credentials == Given::repeated) return refuse(r, 401, "auth.forward.repeated");
  if (credentials == Given::some || config_.without_credentials == WithoutCredentials::ask) return ask(r);
  decisions_.absent.add();
  return gw::absent();
}

gw::verdict ForwardAuth::explain(gw::request r) {
  const Given credentials = given(r);
  if (credentials == Given::repeated) return refuse(r, 401, "auth.forward.repeated");
  if (credentials == Given::none && config_.without_credentials == WithoutCredentials::absent)
    return gw::absent();
  return gw::depends(GW_ON_FETCH, "what the service at url answers");
}

gw::verdict ForwardAuth::ask(gw::request& r) {
  Fields fields;
  const std::string_view path = r.attribute(attributes_.path), query = r.attribute(attributes_.query);
  std::string uri(path);
  if (query.data() != nullptr && !query.empty()) uri.append("?").append(query);
  fields.add("x-forwarded-method", r.attribute(attributes_.method));
  fields.add("x-forwarded-proto", r.attribute(attributes_.scheme));
  fields.add("x-forwarded-host", r.attribute(attributes_.host));
  fields.add("x-forwarded-uri", uri);
  fields.add("x-forwarded-for", r.attribute(attributes_.client));
  fields.add("x-request-id", r.attribute(attributes_.id));
  for (const Header& header : sent_)
    for (uint32_t i = 0; i < r.header_count(header.id); ++i) {
      // A part of the cookies is not what the client has sent.
      if (fields.count == max_fields) return refuse(r, 401, "auth.forward.repeated");
      fields.add(header.name, r.header(header.id, i));
    }
  gw::question question;
  question.fields = fields.all.data();
  question.field_count = fields.count;
  question.timeout = config_.timeout;
  question.max_bytes = 64 * 1024;  // nobody reads it
  const gw_rc rc = r.fetch(self_, config_.url, question);
  return rc < 0 ? failed(r, "the question cannot be asked now") : gw::pause();
}

gw::verdict ForwardAuth::on_resume(gw::request r, void* data) {
  const gw::answer answer(data);
  if (!answer) return failed(r, answer.reason());
  const uint32_t status = answer.status();
  if (status >= 200 && status < 300) return accept(r, answer);
  const std::string_view challenge = answer.header("www-authenticate");
  if (status == 401) return refuse(r, 401, "auth.forward.refused", challenge);
  if (status == 403) return refuse(r, 403, "auth.forward.denied");
  return failed(r, "the service answered neither 2xx nor 401 nor 403");
}

gw::verdict ForwardAuth::accept(gw::request& r, const gw::answer& answer) {
  for (const Header& header : copied_) {
    r.remove_header(header.id);  // whatever a client pretends to have been given
    for (size_t i = 0;; ++i) {
      const std::string_view value = answer.header(header.name, i);
      if (value.data() == nullptr) break;
      if (r.add_header(header.id, value) < 0) return failed(r, "a header of the answer cannot be copied");
    }
  }
  std::string_view consumer = accepted_identity;
  if (!consumer_name_.empty()) consumer = answer.header(consumer_name_);
  if (consumer.empty()) return failed(r, "the answer does not name the consumer");
  std::array<gw_str, max_groups> groups;
  size_t count = 0;
  std::string_view list = groups_name_.empty() ? std::string_view() : answer.header(groups_name_);
  while (!list.empty() && count < groups.size()) {
    const std::string_view group = list.substr(0, list.find(','));
    list.remove_prefix(std::min(group.size() + 1, list.size()));
    if (!trimmed(group).empty()) groups[count++] = gw::str(trimmed(group));
  }
  decisions_.accepted.add();
  return r.identify(self_, consumer, groups.data(), count);
}

gw::verdict ForwardAuth::refuse(gw::request& r, uint16_t status, std::string_view reason,
                                std::string_view challenge) {
  decisions_.refused.add();
  return r.refuse(status, reason, challenge);
}

gw::verdict ForwardAuth::failed(gw::request& r, std::string_view why) {
  r.log(gw::level::debug, self_, why);
  return refuse(r, static_cast<uint16_t>(config_.failure_status), "auth.forward.unavailable");
}

}  // namespace auth
