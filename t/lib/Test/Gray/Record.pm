package Test::Gray::Record;

# Copyright (C) the nginx gray module authors
#
# Journals of releases as a test makes and reads them, apart from the module:
# see ngx_http_gray_record.h for what a line is.
#
#     my $line = journal_line(7, '{"enabled":true,...}', comment => 'why');
#     my @records = journal_records($text);
#
#     journals_rest($dir);
#
# waits until nobody writes journals there: workers look at them, and sync
# them, soon after they begin.
#
# A record is { revision, time, origin, author, user, comment, document,
# layout }, or undef for a line that is not good; what no line feed ends is
# one, too.

use strict;
use warnings;

use Exporter ();
use JSON::PP ();
use Test::Gray::Process;
use Test::Gray::XXH64;
use Time::HiRes ();

our @ISA = ('Exporter');
our @EXPORT = qw(journal_line journal_records journals_rest);

my $json = JSON::PP->new->utf8->allow_nonref;
my $head = '{"checksum":"';


sub journal_line {
    my ($revision, $document, %more) = @_;

    my %meta = (layout => 1, time => '2026-01-02T03:04:05.678Z',
                origin => 'api', author => '127.0.0.1', %more);

    my $rest = "\"layout\":$meta{layout},\"revision\":$revision,"
               . join('', map { "\"$_\":" . $json->encode($meta{$_}) . ',' }
                          qw(time origin author user comment))
               . "\"document\":$document}";

    return $head . sum($rest) . "\",$rest\n";
}


sub journal_records {
    my ($text) = @_;

    return map { record($_) } $text =~ /([^\n]*\n|[^\n]+)/g;
}


sub record {
    my ($line) = @_;

    my ($sum, $rest) = $line =~ /^\Q$head\E([0-9a-f]{16})",(.*)\n\z/s
        or return undef;

    return undef if $sum ne sum($rest);

    return $json->decode("{$rest");
}


sub journals_rest {
    my ($dir) = @_;

    my $before = '';
    my $end = Time::HiRes::time() + 30 * $Test::Gray::Process::scale;

    while (Time::HiRes::time() < $end) {
        my $now = join ' ', map { (Time::HiRes::stat($_))[9] || 0 }
                            glob "$dir/*.jsonl";

        return if $now eq $before;

        $before = $now;
        Time::HiRes::sleep(0.6 * $Test::Gray::Process::scale);
    }

    die "journals are written all the time\n";
}


sub sum { return sprintf '%016x', xxh64($_[0], 0) }


1;
