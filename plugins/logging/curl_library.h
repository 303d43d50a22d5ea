// libcurl, loaded when the first log asks for it: it brings thirty libraries along, which an access log in a
// file has no use for. Loaded once, never unloaded: not all of those survive that.
#pragma once
#include <curl/curl.h>

#include <string>

namespace logging {

struct CurlLibrary {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
};

// Main thread. Null, and in `error` why.
const CurlLibrary* load_curl(std::string& error);

}  // namespace logging
