#include "http_client.h"

#include <algorithm>
#include <new>

namespace logging {

HttpClient::HttpClient(const CurlLibrary& curl, HttpTarget target, const Ending& ending)
    : curl_(curl), target_(std::move(target)), ending_(ending), handle_(curl.easy_init()) {
  if (handle_ == nullptr) throw std::bad_alloc();
  set_up();
}

HttpClient::~HttpClient() {
  curl_.easy_cleanup(handle_);
  curl_.slist_free_all(fields_);
}

void HttpClient::add_field(const std::string& field) {
  curl_slist* const longer = curl_.slist_append(fields_, field.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  fields_ = longer;
}

void HttpClient::set_up() {
  const auto set = [this](CURLoption option, auto value) { curl_.easy_setopt(handle_, option, value); };
  add_field("content-type: " + target_.content_type);
  add_field("expect:");  // no waiting for a 100 before each batch
  for (const std::string& field : target_.fields) add_field(field);
  set(CURLOPT_URL, target_.url.c_str());
  set(CURLOPT_HTTPHEADER, fields_);
  set(CURLOPT_USERAGENT, "penstock");
  set(CURLOPT_POST, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PROXY, "");  // what the configuration says, whatever the environment does
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_ERRORBUFFER, why_);
  if (!target_.ca.empty()) {
    set(CURLOPT_CAINFO, target_.ca.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(CURLOPT_XFERINFODATA, this);
}

// What is too long is read to its end, so that the connection can be used again, but not kept.
size_t HttpClient::on_body(char* bytes, size_t, size_t count, void* self) {
  auto& client = *static_cast<HttpClient*>(self);
  std::string& body = client.answer_.body;
  const size_t room = client.target_.max_answer - std::min(client.target_.max_answer, body.size());
  body.append(bytes, std::min(count, room));
  if (count > room) client.answer_.cut = true;
  return count;
}

// At least once a second: ends a transfer when the process has no more patience.
int HttpClient::on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<HttpClient*>(self)->ending_.over() ? 1 : 0;
}

HttpClient::Answer HttpClient::post(std::string_view body) {
  answer_ = {};
  why_[0] = '\0';
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(ending_.bounded(target_.timeout)).count();
  curl_.easy_setopt(handle_, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<int64_t>(ms, 1)));
  curl_.easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_.easy_setopt(handle_, CURLOPT_POSTFIELDS, body.data());
  const CURLcode code = curl_.easy_perform(handle_);
  if (code != CURLE_OK) {
    answer_.error = why_[0] != '\0' ? why_ : curl_.easy_strerror(code);
    return std::move(answer_);
  }
  curl_.easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &answer_.status);
  curl_off_t seconds = 0;
  if (curl_.easy_getinfo(handle_, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    answer_.retry_after = std::chrono::seconds(seconds);
  return std::move(answer_);
}

}  // namespace logging
