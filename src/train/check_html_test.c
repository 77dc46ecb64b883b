// SPDX-License-Identifier: Apache-2.0
// The page of reports that no check would make: names of hostile bytes, nothing read, figures at their ends. That the
// page is well-formed is for the tests of the command line.
#include "base/unit.h"
#include "train/check_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *page_of(const hr_check_report *report)
{
    char *page = NULL;
    hr_error err = HR_ERROR_INIT;
    assert_ok(hr_check_print_html(report, &page, &err), &err);
    return page;
}

static void page__escapes_what_xml_does_not_take(void **state)
{
    static hr_check_report report;
    char words[] = "<b>\"died\" & \xff\xc0\x80\xed\xa0\x80\xe2\x82";
    hr_check_worker_report worker = {.message = words};
    memset(&report, 0, sizeof report);
    snprintf(report.source, sizeof report.source, "<&\x01\x7f\xf4\x90\x80\x80 f\xc3\xbcr.parquet");
    report.workers = &worker;
    report.worker_count = 1;
    hr__check_attribute(&report);
    char *page = page_of(&report);
    assert_non_null(strstr(page, "<h1>&lt;&amp;&#xFFFD;&#xFFFD;&#xFFFD;&#xFFFD;&#xFFFD;&#xFFFD; "
                                 "f\xc3\xbcr.parquet</h1>"));
    assert_non_null(strstr(page, "&lt;b&gt;&quot;died&quot; &amp; &#xFFFD;"));
    for (const char *at = page; *at; at++)
        assert_true((unsigned char)*at >= 0x20 || *at == '\n');
    assert_null(strchr(page, '\xff'));
    hr_text_free(page);
}

static void page__of_nothing_is_a_page(void **state)
{
    static hr_check_report report;
    memset(&report, 0, sizeof report);
    hr__check_attribute(&report);
    char *page = page_of(&report);
    assert_non_null(strstr(page, "Where the time went"));
    assert_null(strstr(page, "Batch delays")); // there were none
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    hr_text_free(page);
}

static void page__keeps_its_pictures_within_their_frames(void **state)
{
    static hr_check_report report;
    static hr_check_worker_report worker;
    memset(&report, 0, sizeof report);
    memset(&worker, 0, sizeof worker);
    worker.has_result = true;
    worker.result.delay_count = 3;
    worker.result.batches = 1000;
    worker.result.delays[0] = 0;
    worker.result.delays[1] = 1e-3;
    worker.result.delays[2] = 1e9; // longer than the last bin
    report.workers = &worker;
    report.worker_count = 1;
    report.rows = 100;
    report.bytes = 1 << 30;
    report.wait_s = report.own_s = report.loop_s = 1;
    report.sample_count = 3; // two at the same moment; more memory than the budget
    report.samples[1] = (hr_check_sample){.at_s = 1, .rows = 50, .used_bytes = 1 << 30};
    report.samples[2] = (hr_check_sample){.at_s = 1, .rows = 100, .used_bytes = 1 << 20};
    report.memory.budget_bytes = 1 << 28;
    hr__check_attribute(&report);
    char *page = page_of(&report);
    for (const char *at = page; (at = strstr(at, "points=\"")); at++) {
        for (char *p = (char *)at + strlen("points=\""); *p != '"'; p++) {
            double x = strtod(p, &p), y = strtod(p + 1, &p);
            assert_true(x >= 0 && x <= 640 && y >= 0 && y <= 170);
        }
    }
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    hr_text_free(page);
}

// As hr_dataset_stats prints them, and what it would never print.
static void page__draws_stages_to_one_scale(void **state)
{
    static hr_check_report report;
    char stats[] =
        "{\"stages\": [{\"name\": \"read<&>map\", \"started\": true, \"tasks\": 4, "
        "\"wall_s\": {\"total\": 2.0}, \"cpu_s\": {\"total\": 1.0}, "
        "\"rows\": {\"total\": 10}, \"bytes\": {\"total\": 1048576}}, "
        "{\"name\": \"fast\", \"started\": true, \"tasks\": 1, \"wall_s\": {\"total\": 0.5}, "
        "\"cpu_s\": {\"total\": 9.0}}, {\"name\": \"late\", \"started\": false}, {}]}";
    memset(&report, 0, sizeof report);
    hr__check_attribute(&report);
    report.stats_json = stats;
    char *page = page_of(&report);
    const char *const wanted[] = {
        "<p>read&lt;&amp;&gt;map</p>",           "width=\"360.0\" height=\"16\"/>",
        "2.00s in 4 tasks, 1.00s at work",       "1.0 MiB, 10 rows",
        "width=\"180.0\" height=\"16\"/>", // half of it at work
        "500.00ms in 1 task, 9.00s at work",     "width=\"90.0\" height=\"16\"/>",
        "late <span class=\"soft\">not executed"};
    for (size_t i = 0; i < HR_COUNTOF(wanted); i++)
        if (!strstr(page, wanted[i]))
            fail_msg("'%s' is not in the page", wanted[i]);
    hr_text_free(page);
    const char *const others[] = {"",      "{}", "[]", "{\"stages\": 3}", "{\"stages\": [1, null]}",
                                  "{\"sta"};
    for (size_t i = 0; i < HR_COUNTOF(others); i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", others[i]);
        report.stats_json = text;
        page = page_of(&report);
        assert_null(strstr(page, "at work"));
        hr_text_free(page);
    }
}

static void page__of_a_trainer_has_its_figures(void **state)
{
    hr_runtime_options o = HR_RUNTIME_OPTIONS_INIT;
    hr_error err = HR_ERROR_INIT;
    hr_runtime *rt = NULL;
    hr_dataset *d = NULL;
    char *page = NULL;
    o.memory_bytes = 16 << 20;
    o.threads = 1;
    o.spill_dir = "none";
    assert_ok(hr_runtime_open(&o, &rt, &err), &err);
    assert_ok(hr_range(rt, 1000, 4, &d, &err), &err);
    double delays[] = {1e-3, 2e-3};
    hr_check_sample samples[600] = {{0}};
    for (int i = 0; i < 600; i++)
        samples[i] = (hr_check_sample){i / 600.0, i, 1 << 20};
    char reason[] = "worker <1> died";
    hr_trainer_life first = {.seconds = 1, .from_checkpoint = -1, .reason = reason},
                    second = {.seconds = 2, .from_checkpoint = 7};
    const hr_trainer_life *lives[] = {&first, &second};
    hr_check_worker_figures workers[] = {
        {.loop_s = 1,
         .feed = {.batches = 4, .rows = 500, .wait_s = 0.5, .own_s = 0.5},
         .delays = delays,
         .delay_count = 2},
        {.end = HR_WORKER_FAILED, .message = "<oops>", .feed = {.batches = 2, .rows = 250}},
    };
    hr_check_figures f = {.size = sizeof f,
                          .samples = samples,
                          .sample_count = 600,
                          .workers = workers,
                          .worker_count = 2,
                          .title = "<run>",
                          .stalls = (const char *[]){"worker 0 waits & waits"},
                          .stall_count = 1,
                          .lives = lives,
                          .life_count = 2,
                          .others = &(hr_trainer_dataset){.name = "<valid>", .dataset = d},
                          .other_count = 1};
    assert_ok(hr_check_print_page(rt, d, &f, &page, &err), &err);
    const char *const wanted[] = {"<h1>&lt;run&gt;</h1>",
                                  "<title>headrace: &lt;run&gt;</title>",
                                  "range",
                                  "<b>750</b>",
                                  "rows, 6 batches",
                                  "50.0 %",
                                  "Throughput",
                                  "Batch delays",
                                  "failed: &lt;oops&gt;",
                                  "Worker 0 waited longest: 500.00ms of 1.00s.",
                                  "Dataset &lt;valid&gt;</p>",
                                  "<li>worker 0 waits &amp; waits</li>",
                                  "<td>the start</td><td>worker &lt;1&gt; died</td>",
                                  "<td>checkpoint 7</td><td>done</td>"};
    for (size_t i = 0; i < HR_COUNTOF(wanted); i++)
        if (!strstr(page, wanted[i]))
            fail_msg("'%s' is not in the page", wanted[i]);
    hr_text_free(page);
    samples[599].rows = 3;
    assert_status(hr_check_print_page(rt, d, &f, &page, &err), HR_INVALID);
    f = (hr_check_figures){.size = sizeof f}; // nothing was measured
    assert_ok(hr_check_print_page(rt, d, &f, &page, &err), &err);
    hr_text_free(page);
    hr_dataset_unref(&d);
    hr_runtime_close(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page__escapes_what_xml_does_not_take),
        cmocka_unit_test(page__of_nothing_is_a_page),
        cmocka_unit_test(page__draws_stages_to_one_scale),
        cmocka_unit_test(page__of_a_trainer_has_its_figures),
        cmocka_unit_test(page__keeps_its_pictures_within_their_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
