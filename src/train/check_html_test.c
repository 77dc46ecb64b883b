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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page__escapes_what_xml_does_not_take),
        cmocka_unit_test(page__of_nothing_is_a_page),
        cmocka_unit_test(page__keeps_its_pictures_within_their_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
