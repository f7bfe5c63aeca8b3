package Test::Gray::MMDB;

# Copyright (C) the nginx gray module authors
#
#     use Test::Gray::MMDB;        skips the test where databases cannot be made
#
#     write_mmdb($file, { version => 6 },
#                [ '1.0.0.0/8', { country => { iso_code => 'AU' } } ], ...);
#     my $record = mmdblookup($file, '1.2.3.4');
#
# Makes databases by MaxMind's own writer, and asks them by its own tool.  A
# file appears as a whole, by a rename.

use strict;
use warnings;

use Exporter ();
use Test::More;

use Test::Gray::Process;

our @ISA = ('Exporter');
our @EXPORT = qw(write_mmdb mmdblookup);

my %types = (
    id       => 'uint32',
    latitude => 'double',
    flag     => 'boolean',
    country  => 'map',
    parts    => [ 'array', 'map' ],
);


sub import {
    my ($class) = @_;

    plan(skip_all => 'needs MaxMind::DB::Writer::Tree, in Debian '
                     . 'libmaxmind-db-writer-perl')
        unless eval { require MaxMind::DB::Writer::Tree; 1 };

    plan(skip_all => 'needs mmdblookup, in Debian mmdb-bin')
        unless grep { -x "$_/mmdblookup" } split /:/, $ENV{PATH};

    return $class->export_to_level(1);
}


sub write_mmdb {
    my ($file, $option, @networks) = @_;

    my $tree = MaxMind::DB::Writer::Tree->new(
        ip_version               => $option->{version} || 6,
        record_size              => $option->{bits} || 24,
        database_type            => $option->{type} || 'Gray-Test',
        languages                => ['en'],
        description              => { en => 'a test' },
        remove_reserved_networks => 0,
        map_key_type_callback    => sub { $types{ $_[0] } || 'utf8_string' },
    );

    $tree->insert_network(@$_) for @networks;

    open my $fh, '>:raw', "$file.new" or die "$file.new: $!\n";
    $tree->write_tree($fh);
    close $fh or die "$file.new: $!\n";

    rename "$file.new", $file or die "$file: $!\n";

    return;
}


# the scalars of the record by their last names; undef where there is none

sub mmdblookup {
    my ($file, $address) = @_;

    my ($status, $text, $error) =
        capture('mmdblookup', '--file', $file, '--ip', $address);

    return undef if $status == 6;
    die "mmdblookup: $error\n" if $status;

    my %record;

    while ($text =~ /"(\w+)":\s+("?)(.*?)\2 <(\w+)>/g) {
        $record{$1} = $3;
    }

    return \%record;
}


1;
