package Test::Gray::Record;

# Copyright (C) the nginx gray module authors
#
# Journals of releases as a test makes and reads them, apart from the module:
# see ngx_http_gray_record.h for what a line is.
#
#     my $line = journal_line(7, '{"enabled":true,...}', comment => 'why');
#     my @records = journal_records($text);
#
# A record is { revision, time, origin, author, user, comment, document,
# layout }, or undef for a line that is not good; what no line feed ends is
# one, too.

use strict;
use warnings;

use Exporter ();
use JSON::PP ();
use Test::Gray::XXH64;

our @ISA = ('Exporter');
our @EXPORT = qw(journal_line journal_records);

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


sub sum { return sprintf '%016x', xxh64($_[0], 0) }


1;
